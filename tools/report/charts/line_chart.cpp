// Lines, spans and marks (tools/report/charts/line_chart.h).
#include "tools/report/charts/line_chart.h"

#include "tools/report/charts/xml_text.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

namespace bsq::charts {
namespace {

constexpr double kLinePlotHeight = 250;
constexpr double kSpanLabelHeight = 20;  // above the lines
constexpr double kMarkSize = 4.5;
constexpr std::size_t kMostMarks = 60;  // more become ticks on the axis
constexpr const char* kDashes = "6 4";

std::vector<LegendEntry> legend_of(const LineChart& chart) {
  std::vector<LegendEntry> legend;
  for (std::size_t i = 0; i < chart.series.size(); ++i)
    legend.push_back({chart.series[i].name, series(i), LegendEntry::Kind::line, MarkerShape::circle,
                      chart.series[i].dashed ? kDashes : ""});
  if (!chart.marks.empty())
    legend.push_back({chart.mark_name, muted(), LegendEntry::Kind::marker, MarkerShape::down_triangle});
  return legend;
}

/// Shades every other span, and names each if its name fits.
void draw_spans(Svg& svg, const LineChart& chart, const Frame& frame, double top) {
  for (std::size_t i = 0; i < chart.spans.size(); ++i) {
    const Span& span = chart.spans[i];
    const double left = frame.x(span.from), right = frame.x(span.to);
    if (i % 2 == 1) svg.rect({left, top, right - left, frame.plot().bottom() - top}, band());
    if (i > 0) svg.line({left, top}, {left, frame.plot().bottom()}, {muted(), 1, "2 3"});
    if (text_width(span.name, kTextSize) < right - left)
      svg.text({(left + right) / 2, top + 14}, span.name, {.anchor = Anchor::middle, .color = muted()});
  }
}

/// Tooltips with all values at an x, for a pointer anywhere above or below it.
void add_tooltips(Svg& svg, const LineChart& chart, const Frame& frame) {
  std::map<double, std::string> texts;
  for (const LineSeries& line : chart.series)
    for (const Place& point : line.points) {
      if (!std::isfinite(point.x)) continue;
      std::string& text = texts[point.x];
      if (text.empty()) text = fmt::format("{} {:g}", chart.tooltip_x, point.x);
      text += fmt::format("\n{}: {:.5g}", line.name, point.y);
    }
  const Box& plot = frame.plot();
  for (auto here = texts.begin(); here != texts.end(); ++here) {
    const auto next = std::next(here);
    const double left =
        here == texts.begin() ? plot.left : (frame.x(std::prev(here)->first) + frame.x(here->first)) / 2;
    const double right = next == texts.end() ? plot.right() : (frame.x(here->first) + frame.x(next->first)) / 2;
    svg.tooltip_area({left, plot.top, right - left, plot.height}, here->second);
  }
}

}  // namespace

Svg draw(const LineChart& chart) {
  Axis x = chart.x, y = chart.y;
  for (const Span& span : chart.spans) x.range.include(range_of(span.from, span.to));
  for (const Mark& mark : chart.marks) x.range.include(mark.x);
  for (const LineSeries& line : chart.series)
    for (const Place& point : line.points) {
      if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
      x.range.include(point.x);
      y.range.include(point.y);
    }
  const std::vector<LegendEntry> legend = legend_of(chart);
  const bool labelled = !chart.spans.empty() || !chart.marks.empty();
  Frame frame(kChartWidth, kLinePlotHeight, legend, x, y);
  if (labelled) frame.leave_room_above(kSpanLabelHeight);
  Svg svg(frame.width(), frame.height(), chart.text.id, chart.text.title, chart.text.description);
  draw_heading(svg, legend);
  const double top = labelled ? frame.plot().top - kSpanLabelHeight : frame.plot().top;
  draw_spans(svg, chart, frame, top);
  frame.draw(svg);
  const bool dense = chart.marks.size() > kMostMarks;
  for (const Mark& mark : chart.marks)
    svg.line({frame.x(mark.x), dense ? frame.plot().bottom() - kMarkSize : frame.plot().top},
             {frame.x(mark.x), frame.plot().bottom()}, {dense ? muted() : grid(), 1, dense ? "" : "3 3"});
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    std::vector<Place> places;
    for (const Place& point : chart.series[i].points)
      places.push_back(
          {std::isfinite(point.x) ? frame.x(point.x) : point.x, std::isfinite(point.y) ? frame.y(point.y) : point.y});
    svg.polyline(places, {series(i), 2.25, chart.series[i].dashed ? kDashes : ""});
  }
  add_tooltips(svg, chart, frame);
  for (const Mark& mark : dense ? std::vector<Mark>{} : chart.marks)
    svg.marker({frame.x(mark.x), frame.plot().bottom() - kMarkSize}, kMarkSize, MarkerShape::down_triangle, muted(),
               mark.tooltip);
  return svg;
}

}  // namespace bsq::charts
