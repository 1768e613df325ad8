// Grouped bars (tools/report/charts/bar_chart.h).
#include "tools/report/charts/bar_chart.h"

#include "tools/report/charts/xml_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bsq::charts {
namespace {

constexpr double kBarPlotHeight = 220;
constexpr double kNarrowestBar = 5;
constexpr double kGroupShare = 0.78;  // of the width of a category, for its bars

void draw_bar(Svg& svg, const Frame& frame, const Bar& bar, const Box& place, const Color& color) {
  svg.rect(place, color, bar.tooltip);
  const double middle = place.left + place.width / 2;
  double top = place.top;
  if (bar.low < bar.high) {
    top = frame.y(bar.high);
    svg.line({middle, frame.y(bar.low)}, {middle, top}, {ink(), 1.25});
    for (const double end : {bar.low, bar.high})
      svg.line({middle - 3, frame.y(end)}, {middle + 3, frame.y(end)}, {ink(), 1.25});
  }
  const std::string text = fmt::format("{:.2g}", bar.value);
  if (text_width(text, kSmallSize) <= place.width + 4)
    svg.text({middle, top - 4}, text, {.size = kSmallSize, .anchor = Anchor::middle, .color = muted()});
}

}  // namespace

Svg draw(const BarChart& chart) {
  Axis y = chart.y;
  y.range.include(0);
  for (const BarSeries& group : chart.series)
    for (const Bar& bar : group.bars)
      for (const double value : {bar.value, bar.high})
        if (std::isfinite(value) && std::isfinite(bar.value)) y.range.include(value);
  std::vector<LegendEntry> legend;
  if (chart.series.size() > 1)
    for (std::size_t i = 0; i < chart.series.size(); ++i) legend.push_back({chart.series[i].name, series(i)});
  const double num_series = static_cast<double>(std::max<std::size_t>(chart.series.size(), 1));
  const double narrowest = std::max(kNarrowestBar * num_series / kGroupShare, kSmallSize * 1.3);
  const double width = std::max(kChartWidth, 90 + narrowest * static_cast<double>(chart.categories.size()));

  Frame frame(width, kBarPlotHeight, legend, {.title = chart.x_title, .range = {}, .categories = chart.categories}, y);
  frame.leave_room_above(kSmallSize + 2);  // for the value of the highest
  Svg svg(frame.width(), frame.height(), chart.text.id, chart.text.title, chart.text.description);
  draw_heading(svg, legend);
  frame.draw(svg);
  const double bar_width = std::min(frame.band() * kGroupShare / num_series, 46.0);
  for (std::size_t i = 0; i < chart.series.size(); ++i)
    for (std::size_t category = 0; category < std::min(chart.series[i].bars.size(), chart.categories.size());
         ++category) {
      const Bar& bar = chart.series[i].bars[category];
      if (!std::isfinite(bar.value)) continue;
      const double left =
          frame.x(static_cast<double>(category)) + (static_cast<double>(i) - num_series / 2) * bar_width;
      const double top = frame.y(bar.value);
      const double gap = std::min(1.0, bar_width / 8);
      draw_bar(svg, frame, bar, {left + gap, top, bar_width - 2 * gap, frame.plot().bottom() - top}, series(i));
    }
  return svg;
}

}  // namespace bsq::charts
