// Text in XML, colours, and shapes.
#include "tests/support/catch.h"
#include "tests/support/xml.h"
#include "tools/report/charts/svg.h"
#include "tools/report/charts/xml_text.h"

#include <cmath>
#include <limits>
#include <set>

using namespace bsq::charts;
using namespace bsq::test;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
const std::string kBad = "\xEF\xBF\xBD";

}  // namespace

TEST_CASE("text from anywhere becomes valid UTF-8 without control characters") {
  CHECK(clean_text("a\tb\nc") == "a\tb\nc");
  CHECK(clean_text(std::string_view("a\0b\x1b[31m\x7f", 9)) == "a" + kBad + "b" + kBad + "[31m" + kBad);
  CHECK(clean_text("\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80") == "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80");
  CHECK(clean_text("\xC3") == kBad);
  CHECK(clean_text("\x80x") == kBad + "x");
  CHECK(clean_text("\xC0\xAF") == kBad + kBad);             // an overlong slash
  CHECK(clean_text("\xED\xA0\x80") == kBad + kBad + kBad);  // a surrogate
  CHECK(clean_text("\xEF\xBF\xBE") == kBad + kBad + kBad);  // U+FFFE
  CHECK(clean_text("\xF4\x90\x80\x80") == kBad + kBad + kBad + kBad);
  CHECK(clean_text("\xC2\x85") == kBad + kBad);  // a C1 control
  CHECK(xml_text("<a href=\"x\">'&'</a>") == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
  CHECK(count_letters("\xC3\xA4\xE2\x82\xAC") == 2);
}

TEST_CASE("a picture is well-formed whatever its texts say, and gives them back") {
  const std::string evil = "</title><script>alert(\"1\")</script> & 'x' ]]> \x01";
  Svg svg(100, 50, "evil", evil, evil);
  svg.text({1, 2}, evil);
  svg.rect({0, 0, 10, 10}, series(0), evil);
  svg.marker({5, 5}, 3, MarkerShape::diamond, series(1), evil);
  for (const std::string& text : {svg.file(), svg.inlined()}) {
    const std::vector<XmlElement> elements = XmlReader::read(text);
    CHECK(elements_named(elements, "script").empty());
    const std::vector<XmlElement> titles = elements_named(elements, "title");
    REQUIRE(titles.size() == 3);
    for (const XmlElement& title : titles) CHECK(title.text == clean_text(evil));
    CHECK(elements_named(elements, "text").at(0).text == clean_text(evil));
  }
}

TEST_CASE("a picture is named for those who do not see it") {
  const std::vector<XmlElement> elements = XmlReader::read(Svg(100, 50, "loss", "Loss", "It falls.").file());
  CHECK(elements[0].attributes.at("role") == "img");
  CHECK(elements[0].attributes.at("aria-labelledby") == "loss-title loss-desc");
  CHECK(elements[0].attributes.at("viewBox") == "0 0 100 50");
  CHECK(elements[0].attributes.at("xmlns") == "http://www.w3.org/2000/svg");
  CHECK(elements_named(elements, "title").at(0).attributes.at("id") == "loss-title");
  CHECK(elements_named(elements, "desc").at(0).text == "It falls.");
}

TEST_CASE("what is not finite draws nothing, and interrupts a line") {
  Svg svg(100, 50, "x", "x", "x");
  svg.rect({kNan, 0, 10, 10}, ink());
  svg.rect({0, 0, -1, 10}, ink());
  svg.line({0, kNan}, {1, 1}, {});
  svg.text({0, kNan}, "x");
  svg.marker({kNan, 0}, 2, MarkerShape::circle, ink());
  svg.polygon({{0, 0}, {1, kNan}, {2, 2}}, ink());
  svg.polyline({}, {});
  CHECK(XmlReader::read(svg.inlined()).size() == 3);  // svg, title, desc
  svg.polyline({{0, 0}, {1, 1}, {2, kNan}, {3, 3}, {4, kNan}, {5, 5}, {6, 6}}, {});
  const std::vector<XmlElement> elements = XmlReader::read(svg.inlined());
  CHECK(elements_named(elements, "path").size() == 2);
  CHECK(elements_named(elements, "circle").size() == 1);
  CHECK(elements_named(elements, "path")[0].attributes.at("d") == "M0 0L1 1");
}

TEST_CASE("every colour has a variable for light and for dark, and every class its rule") {
  const std::string sheet = style_sheet(":root");
  std::set<std::string> seen;
  std::vector<Color> colors = {ink(), muted(), grid(), surface(), band(), on_step(0), on_step(1)};
  for (std::size_t i = 0; i < kNumSeries; ++i) colors.push_back(series(i));
  for (int i = 0; i < kNumSteps; ++i) colors.push_back(step(static_cast<double>(i) / (kNumSteps - 1)));
  for (const Color& color : colors) {
    INFO(color.name);
    CHECK(seen.insert(color.name).second);
    const std::size_t light = sheet.find("--" + color.name + ":" + color.light + ";");
    const std::size_t dark = sheet.find("--" + color.name + ":" + color.dark + ";", sheet.find("dark"));
    CHECK(light < sheet.find("@media screen and (prefers-color-scheme:dark)"));
    CHECK(dark != std::string::npos);
    CHECK(sheet.find(".f-" + color.name + "{fill:var(--" + color.name + ")}") != std::string::npos);
    CHECK(sheet.find(".l-" + color.name + "{stroke:var(--" + color.name + ")}") != std::string::npos);
  }
  CHECK(series(kNumSeries).name == series(0).name);
  CHECK(step(kNan).name == step(0).name);
  CHECK(step(7).name == step(1).name);
}

namespace {

double channel(const std::string& hex, std::size_t at) {
  const double value = std::stoi(hex.substr(at, 2), nullptr, 16) / 255.0;
  return value <= 0.03928 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
}

/// WCAG 2: 1 to 21.
double contrast(const std::string& a, const std::string& b) {
  const auto luminance = [](const std::string& hex) {
    return 0.2126 * channel(hex, 1) + 0.7152 * channel(hex, 3) + 0.0722 * channel(hex, 5);
  };
  const double x = luminance(a), y = luminance(b);
  return (std::max(x, y) + 0.05) / (std::min(x, y) + 0.05);
}

}  // namespace

TEST_CASE("text can be read on what it stands on") {
  for (const Color& text : {ink(), muted()})
    for (const Color& background : {surface(), band()}) {
      INFO(text.name << " on " << background.name);
      CHECK(contrast(text.light, background.light) >= 4.5);
      CHECK(contrast(text.dark, background.dark) >= 4.5);
    }
  for (int i = 0; i < kNumSteps; ++i) {
    const double share = static_cast<double>(i) / (kNumSteps - 1);
    INFO(share);
    CHECK(contrast(on_step(share).light, step(share).light) >= 4);
    CHECK(contrast(on_step(share).dark, step(share).dark) >= 4);
  }
}
