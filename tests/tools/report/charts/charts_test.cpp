// Every kind of chart with what runs really have: much, little, nothing, all the same, no numbers.
#include "tests/support/catch.h"
#include "tests/support/xml.h"
#include "tools/report/charts/bar_chart.h"
#include "tools/report/charts/heat_map.h"
#include "tools/report/charts/histograms.h"
#include "tools/report/charts/line_chart.h"
#include "tools/report/charts/scatter_chart.h"
#include "tools/report/charts/xml_text.h"

#include <cmath>
#include <limits>
#include <map>

using namespace bsq::charts;
using namespace bsq::test;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Well-formed, named, and every number in it a number; every upright text inside the picture.
std::vector<XmlElement> check_chart(const Svg& svg) {
  INFO(svg.id());
  const std::string text = svg.file();
  const std::vector<XmlElement> elements = XmlReader::read(text);
  for (const char* word : {"nan", "inf", "-0\""}) {
    INFO(word);
    for (const XmlElement& element : elements)
      for (const auto& [name, value] : element.attributes)
        if (name != "id" && name != "class" && name != "font-family" && name != "aria-labelledby")
          CHECK(value.find(word) == std::string::npos);
  }
  CHECK(elements_named(elements, "title").at(0).text == svg.title());
  for (const XmlElement& label : elements_named(elements, "text")) {
    INFO(label.text);
    const double x = std::stod(label.attributes.at("x")), y = std::stod(label.attributes.at("y"));
    CHECK((x >= 0 && x <= svg.width() && y >= 0 && y <= svg.height()));
    if (label.attributes.contains("transform")) continue;
    const double width = text_width(label.text, std::stod(label.attributes.at("font-size")));
    const std::string anchor = label.attributes.contains("text-anchor") ? label.attributes.at("text-anchor") : "start";
    const double left = anchor == "start" ? x : anchor == "end" ? x - width : x - width / 2;
    CHECK(left > -8);  // text_width is rather too wide
    CHECK(left + width < svg.width() + 8);
  }
  return elements;
}

std::vector<std::string> texts_of(const std::vector<XmlElement>& elements) {
  std::vector<std::string> texts;
  for (const XmlElement& element : elements_named(elements, "text")) texts.push_back(element.text);
  return texts;
}

bool has_text(const std::vector<XmlElement>& elements, const std::string& text) {
  const std::vector<std::string> texts = texts_of(elements);
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

LineChart line_chart(std::vector<Place> points) {
  return {.text = {"line", "A line", "It goes on."},
          .x = {.title = "epoch", .whole = true, .rule = TickRule::inside},
          .y = {.title = "loss"},
          .series = {{"training", std::move(points)}, {"test", {}, true}},
          .spans = {{0, 3, "pretrain"}, {3, 4, "a stage with a name that is much longer than its line"}},
          .marks = {{2, "re-quantized after 2"}},
          .mark_name = "re-quantization"};
}

}  // namespace

TEST_CASE("a line chart names its axes, series, stages and marks") {
  const auto elements = check_chart(draw(line_chart({{1, 2.5}, {2, 1.5}, {3, 1}, {4, 0.5}})));
  for (const char* text : {"A line", "epoch", "loss", "training", "test", "pretrain", "re-quantization", "0", "4"}) {
    INFO(text);
    CHECK(has_text(elements, text));
  }
  CHECK_FALSE(has_text(elements, "a stage with a name that is much longer than its line"));  // where it does not fit
  std::vector<std::string> tooltips;
  for (const XmlElement& title : elements_named(elements, "title"))
    if (title.parent != "svg") tooltips.push_back(title.text);
  CHECK(tooltips == std::vector<std::string>{"epoch 1\ntraining: 2.5", "epoch 2\ntraining: 1.5", "epoch 3\ntraining: 1",
                                             "epoch 4\ntraining: 0.5", "re-quantized after 2"});
}

TEST_CASE("many marks become ticks on the axis") {
  LineChart chart = line_chart({{1, 1}, {350, 2}});
  chart.marks.clear();
  for (int i = 0; i < 350; ++i) chart.marks.push_back({static_cast<double>(i), "mark"});
  const auto elements = check_chart(draw(chart));
  CHECK(elements_named(elements, "title").size() == 1 + 2);  // of the picture and the points
  CHECK(elements_named(elements, "line").size() > 350);
}

TEST_CASE("a line of one point is a dot, of none nothing, and gaps are gaps") {
  const auto lines_in = [](const std::vector<XmlElement>& elements, const char* name) {
    std::size_t count = 0;
    for (const XmlElement& element : elements_named(elements, name)) {
      const auto color = element.attributes.find("class");
      count += color != element.attributes.end() && color->second.ends_with("-s0") ? 1 : 0;
    }
    return count;
  };
  CHECK(lines_in(check_chart(draw(line_chart({{1, 7}}))), "circle") == 1);
  CHECK(lines_in(check_chart(draw(line_chart({}))), "path") == 0);
  CHECK(lines_in(check_chart(draw(line_chart({{1, 1}, {2, 2}, {3, kNan}, {4, 2}, {5, 1}}))), "path") == 2);
  check_chart(draw(line_chart({{1, kNan}, {2, kInfinity}, {kNan, 1}})));
  check_chart(draw(line_chart({{1, 1e300}, {2, -1e300}})));
  check_chart(draw(line_chart({{1, 3}, {2, 3}, {3, 3}})));
  check_chart(draw(LineChart{.text = {"empty", "Empty", ""}}));
}

TEST_CASE("bars stand on zero, side by side, with their values and spreads") {
  const BarChart chart{
      .text = {"bars", "Bars", "Some."},
      .x_title = "layer",
      .y = {.title = "bits", .whole = true},
      .categories = {"conv1", "fc"},
      .series = {{"alpha 1", {{4, 4, 4, "four"}, {8, 7, 9, "eight"}}}, {"alpha 2", {{2, 0, 0, ""}, {kNan, 0, 0, ""}}}}};
  const auto elements = check_chart(draw(chart));
  for (const char* text : {"conv1", "fc", "layer", "bits", "alpha 1", "alpha 2", "4", "8", "2"}) {
    INFO(text);
    CHECK(has_text(elements, text));
  }
  std::vector<double> bottoms, heights;
  for (const XmlElement& bar : elements_named(elements, "rect")) {
    const auto color = bar.attributes.find("class");
    if (color == bar.attributes.end() || bar.attributes.at("width") == "12" || bar.attributes.at("width") == "100%")
      continue;
    heights.push_back(std::stod(bar.attributes.at("height")));
    bottoms.push_back(std::stod(bar.attributes.at("y")) + heights.back());
  }
  REQUIRE(heights.size() == 3);  // the one that is no number is left out
  CHECK(heights[1] == Approx(2 * heights[0]).margin(0.02));
  CHECK(heights[2] == Approx(heights[0] / 2).margin(0.02));
  CHECK(bottoms[0] == Approx(bottoms[1]).margin(0.02));
  check_chart(draw(BarChart{.text = {"none", "None", ""}}));
}

TEST_CASE("many long names of layers are turned, and the chart grows with them") {
  BarChart chart{.text = {"bars", "Bars", "Many."}, .y = {.title = "bits"}, .series = {{"bits", {}}}};
  for (int i = 0; i < 110; ++i) {
    chart.categories.push_back("layer3.17.conv" + std::to_string(i));
    chart.series[0].bars.push_back({static_cast<double>(i % 9), 0, 0, ""});
  }
  const Svg svg = draw(chart);
  const auto elements = check_chart(svg);
  CHECK(svg.width() > kChartWidth);
  std::vector<double> places;
  for (const XmlElement& label : elements_named(elements, "text"))
    if (label.text.starts_with("layer3")) {
      CHECK(label.attributes.at("transform").starts_with("rotate(-90 "));
      places.push_back(std::stod(label.attributes.at("x")));
    }
  REQUIRE(places.size() == 110);
  for (std::size_t i = 1; i < places.size(); ++i) CHECK(places[i] - places[i - 1] >= kSmallSize);
}

TEST_CASE("a heat map shows its values, and which way they went") {
  HeatMap map{.text = {"heat", "Heat", "Cells."},
              .x_title = "epoch",
              .rows = {"conv1", "fc"},
              .columns = {"0", "10", "20"},
              .cells = {{{8, 0, "8", "c0"}, {7, -1, "7", "c1"}, {8, 1, "8", "c2"}}, {{3, 0, "3", "f0"}, {kNan}}},
              .range = range_of(0, 8),
              .legend = {{0, "0"}, {8, "8 bits"}},
              .fallen = "fewer",
              .grown = "more"};
  const auto elements = check_chart(draw(map));
  for (const char* text : {"conv1", "fc", "10", "20", "8", "7", "3", "8 bits", "fewer", "more", "epoch"}) {
    INFO(text);
    CHECK(has_text(elements, text));
  }
  CHECK(elements_named(elements, "path").size() == 4);  // two marks, and two in the legend
  std::size_t cells = 0;
  for (const XmlElement& title : elements_named(elements, "title")) cells += title.parent == "rect" ? 1 : 0;
  CHECK(cells == 4);
  check_chart(draw(HeatMap{.text = {"none", "None", ""}}));
}

TEST_CASE("a heat map of many columns joins neighbours that are equal and keeps every change") {
  HeatMap map{.text = {"heat", "Heat", "Many."}, .range = range_of(0, 8), .fallen = "fewer", .grown = "more"};
  map.rows = {"conv1"};
  map.cells.resize(1);
  for (int i = 0; i < 350; ++i) {
    map.columns.push_back(std::to_string(i));
    const int change = i == 0 || i % 100 != 0 ? 0 : i == 200 ? 1 : -1;
    const double bits = i >= 100 && i < 200 ? 7 : i < 300 ? 8 : 6;
    map.cells[0].push_back({bits, change, "", "at " + std::to_string(i)});
  }
  const auto elements = check_chart(draw(map));
  std::vector<std::string> tooltips;
  for (const XmlElement& title : elements_named(elements, "title"))
    if (title.parent == "rect") tooltips.push_back(title.text);
  CHECK(tooltips ==
        std::vector<std::string>{"at 0 (until 99)", "at 100 (until 199)", "at 200 (until 299)", "at 300 (until 349)"});
  CHECK(elements_named(elements, "path").size() == 1 + 1);  // the one that grew, and its legend
  CHECK(texts_of(elements).size() < 60);                    // no label on another
}

TEST_CASE("columns with names are all shown, turned where they are long, in groups that stand apart") {
  HeatMap map{.text = {"heat", "Heat", "Runs."},
              .x_title = "run",
              .rows = {"conv1"},
              .columns = {"a", "b", "c"},
              .names = true,
              .groups = {{"3.1-3.4", 2}, {"5.0", 1}},
              .cells = {{{3, 0, "3", "a3"}, {4, 0, "4", "b4"}, {5, 0, "5", "c5"}}},
              .range = range_of(0, 8)};
  const auto lefts_of = [](const std::vector<XmlElement>& elements) {
    std::vector<double> lefts;
    for (const XmlElement& rect : elements_named(elements, "rect"))
      if (rect.attributes.contains("x")) lefts.push_back(std::stod(rect.attributes.at("x")));
    return lefts;
  };
  const auto turned = [](const std::vector<XmlElement>& elements) {
    std::size_t count = 0;
    for (const XmlElement& label : elements_named(elements, "text"))
      count += label.attributes.contains("transform") && !label.text.empty() ? 1 : 0;
    return count;
  };
  auto elements = check_chart(draw(map));
  CHECK(has_text(elements, "3.1-3.4"));
  CHECK(has_text(elements, "5.0"));
  CHECK(turned(elements) == 0);
  const std::vector<double> lefts = lefts_of(elements);
  REQUIRE(lefts.size() == 3);
  CHECK(lefts[2] - lefts[1] > lefts[1] - lefts[0] + 5);

  map.columns = {"a name of some length", "another name", "CSQ, target_bits 3, seed 1"};
  const Svg long_names = draw(map);
  elements = check_chart(long_names);
  CHECK(turned(elements) == 3);
  for (const std::string& name : map.columns) CHECK(has_text(elements, name));

  map.groups.clear();
  for (int i = 0; i < 90; ++i) {
    map.columns.push_back("run " + std::to_string(i));
    map.cells[0].push_back({3, 0, "3", ""});
  }
  const Svg wide = draw(map);
  CHECK(wide.width() > kChartWidth);
  CHECK(turned(check_chart(wide)) == 93);
}

TEST_CASE("a series has a line of its own, and points from elsewhere are hollow and named") {
  ScatterChart chart{
      .text = {"points", "Points", "Some."},
      .x = {.title = "bits"},
      .y = {.title = "top-1 in %"},
      .series = {{"BSQ", {{4, 90, 0, 0, "alpha 1", "t1"}, {8, 92, 0, 0, "alpha 2", "t2"}}, {{4, 90}, {8, 92}}},
                 {"LSQ", {{3, 89, 0, 0, "3 bits", "t3"}}, {{3, 89}}}},
      .front = {{3, 89}, {4, 90}, {8, 92}},
      .front_name = "Pareto line",
      .series_front_name = "of one series",
      .foreign = {{"published by others", {{2, 91, 0, 0, "elsewhere", "not ours"}}}}};
  const auto elements = check_chart(draw(chart));
  for (const char* text : {"BSQ", "LSQ", "Pareto line", "of one series", "published by others", "elsewhere"}) {
    INFO(text);
    CHECK(has_text(elements, text));
  }
  std::size_t dashed = 0, foreign = 0;
  for (const XmlElement& path : elements_named(elements, "path"))
    dashed += path.attributes.contains("stroke-dasharray") ? 1 : 0;
  for (const XmlElement& title : elements_named(elements, "title")) foreign += title.text == "not ours" ? 1 : 0;
  CHECK(dashed == 1);   // a line needs two points
  CHECK(foreign == 2);  // outline and inside
  chart.series[0].front.clear();
  CHECK_FALSE(has_text(check_chart(draw(chart)), "of one series"));
}

TEST_CASE("a label lies nearer to its own point than to one beside it, which a line parts from it") {
  const ScatterChart chart{.text = {"near", "Near", ""},
                           .x = {.range = range_of(2, 9)},
                           .y = {.range = range_of(10, 26)},
                           .series = {{"", {{2.986, 23, 0, 0, "upper", ""}, {3.015, 22.5, 0, 0, "lower", ""}}}},
                           .front = {{2.587, 11.5}, {2.986, 23}, {5.015, 25}}};
  std::map<std::string, double> heights;
  for (const XmlElement& label : elements_named(check_chart(draw(chart)), "text"))
    if (label.text.ends_with("er")) heights[label.text] = std::stod(label.attributes.at("y"));
  REQUIRE(heights.size() == 2);
  CHECK(heights.at("upper") < heights.at("lower"));
}

TEST_CASE("points have labels that keep clear of each other, spreads and a line") {
  ScatterChart chart{.text = {"points", "Points", "Some."},
                     .x = {.title = "compression"},
                     .y = {.title = "top-1 in %"},
                     .series = {{"4 bits", {{4, 90, 0, 0.5, "alpha 1", "t1"}, {8, 88, 1, 0, "alpha 2", "t2"}}},
                                {"float", {{4.001, 90.001, 0, 0, "alpha 3", ""}, {kNan, 3, 0, 0, "lost", ""}}}},
                     .faint = {{4.1, 90.4, 0, 0, "", "run"}},
                     .faint_name = "single runs",
                     .front = {{4, 90}, {8, 88}},
                     .front_name = "Pareto line"};
  const auto elements = check_chart(draw(chart));
  for (const char* text :
       {"4 bits", "float", "alpha 1", "alpha 2", "alpha 3", "single runs", "Pareto line", "compression"}) {
    INFO(text);
    CHECK(has_text(elements, text));
  }
  CHECK_FALSE(has_text(elements, "lost"));
  std::vector<std::pair<double, double>> labels;
  for (const XmlElement& label : elements_named(elements, "text"))
    if (label.text.starts_with("alpha"))
      labels.emplace_back(std::stod(label.attributes.at("x")), std::stod(label.attributes.at("y")));
  REQUIRE(labels.size() == 3);
  CHECK((std::abs(labels[0].first - labels[2].first) > 20 || std::abs(labels[0].second - labels[2].second) > 10));
  // A label is on the other side of the line than it would be without.
  const auto height_of_label = [&](double y) {
    const ScatterChart line{.text = {"line", "Line", ""},
                            .x = {.range = range_of(0, 10)},
                            .y = {.range = range_of(0, 10)},
                            .series = {{"", {{5, 5, 0, 0, "here", ""}}}},
                            .front = {{5, 5}, {9, y}}};
    for (const XmlElement& label : elements_named(check_chart(draw(line)), "text"))
      if (label.text == "here") return std::stod(label.attributes.at("y"));
    return kNan;
  };
  CHECK(height_of_label(2) < height_of_label(7) - 10);
  chart.series.resize(1);
  chart.series[0].points.resize(1);
  chart.faint.clear();
  chart.front.resize(1);
  check_chart(draw(chart));
  check_chart(draw(ScatterChart{.text = {"none", "None", ""}}));
}

TEST_CASE("histograms share their scale, and a bin without weights has no height") {
  std::vector<std::int64_t> wide(511, 3);
  wide.front() = wide[1] = wide.back() = 0;  // an outline that begins and ends on its base
  const Histograms histograms{.text = {"weights", "Weights", "Many."},
                              .x_title = "weight",
                              .y_title = "count",
                              .panels = {{"conv1", "1 bit", {10, 0, 1000}, -1, 1},
                                         {"fc", "empty", {}, 0, 0},
                                         {"one", "0 bits", {64}, 0, 0},
                                         {"wide", "8 bits", wide, -2, 2}}};
  const auto elements = check_chart(draw(histograms));
  for (const char* text :
       {"conv1", "1 bit", "fc", "one", "wide", "weight", "count", "1", "10", "100", "1k", "-1", "0"}) {
    INFO(text);
    CHECK(has_text(elements, text));
  }
  CHECK(elements_named(elements, "path").size() == 3);
  const Svg svg = draw(Histograms{.text = {"none", "None", ""}});
  check_chart(svg);
}
