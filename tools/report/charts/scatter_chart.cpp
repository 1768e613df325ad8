// Points, spreads, labels that keep clear of each other (tools/report/charts/scatter_chart.h).
#include "tools/report/charts/scatter_chart.h"

#include "tools/report/charts/xml_text.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bsq::charts {
namespace {

constexpr double kScatterPlotHeight = 330;
constexpr double kRadius = 5.5;

bool overlap(const Box& a, const Box& b) {
  return a.left < b.right() && b.left < a.right() && a.top < b.bottom() && b.top < a.bottom();
}

/// Puts labels on the first free place of these: right, left, above, below; on one clear of lines if there is one. A
/// label without room is left out, since the tooltip says the same.
class Labels {
 public:
  explicit Labels(const Box& plot) : plot_(plot) {}

  void keep_clear(const Box& box) { taken_.push_back(box); }

  void keep_clear_of_line(Place from, Place to) {
    constexpr double kStep = 4;
    const double length = std::hypot(to.x - from.x, to.y - from.y);
    for (double at = 0; at <= length; at += kStep) {
      const double share = length > 0 ? at / length : 0;
      lines_.push_back({from.x + share * (to.x - from.x) - 2, from.y + share * (to.y - from.y) - 2, 4, 4});
    }
  }

  void place(Svg& svg, Place point, const std::string& text) {
    const double width = text_width(text, kSmallSize), height = kSmallSize + 3;
    const std::array<Box, 6> boxes = {{{point.x + 10, point.y - height - 2, width, height},
                                       {point.x + 10, point.y + 3, width, height},
                                       {point.x - 10 - width, point.y - height - 2, width, height},
                                       {point.x - 10 - width, point.y + 3, width, height},
                                       {point.x - width / 2, point.y - height - 10, width, height},
                                       {point.x - width / 2, point.y + 10, width, height}}};
    for (const bool clear_of_lines : {true, false})
      for (const Box& box : boxes) {
        if (box.left < plot_.left || box.right() > plot_.right() || box.top < plot_.top ||
            box.bottom() > plot_.bottom() || hits(taken_, box) || (clear_of_lines && hits(lines_, box)))
          continue;
        svg.text({box.left, box.top + kSmallSize}, text, {.size = kSmallSize});
        keep_clear(box);
        return;
      }
  }

 private:
  static bool hits(const std::vector<Box>& boxes, const Box& box) {
    return std::any_of(boxes.begin(), boxes.end(), [&](const Box& other) { return overlap(box, other); });
  }

  Box plot_;
  std::vector<Box> taken_;
  std::vector<Box> lines_;
};

bool has_place(const ScatterPoint& point) {
  return std::isfinite(point.x) && std::isfinite(point.y);
}

void include(Axis& x, Axis& y, const ScatterPoint& point) {
  if (!has_place(point)) return;
  for (const double sign : {-1.0, 1.0}) {
    x.range.include(point.x + sign * point.x_spread);
    y.range.include(point.y + sign * point.y_spread);
  }
}

std::vector<LegendEntry> legend_of(const ScatterChart& chart) {
  std::vector<LegendEntry> legend;
  if (chart.series.size() > 1)
    for (std::size_t i = 0; i < chart.series.size(); ++i)
      legend.push_back({chart.series[i].name, series(i), LegendEntry::Kind::marker, shape(i)});
  if (!chart.faint.empty())
    legend.push_back({chart.faint_name, muted(), LegendEntry::Kind::marker, MarkerShape::circle});
  if (chart.front.size() > 1) legend.push_back({chart.front_name, ink(), LegendEntry::Kind::line});
  return legend;
}

void draw_spread(Svg& svg, const Frame& frame, const ScatterPoint& point, const Color& color) {
  const Place center = frame.at(point.x, point.y);
  if (point.x_spread > 0)
    svg.line({frame.x(point.x - point.x_spread), center.y}, {frame.x(point.x + point.x_spread), center.y},
             {color, 1.5});
  if (point.y_spread > 0)
    svg.line({center.x, frame.y(point.y - point.y_spread)}, {center.x, frame.y(point.y + point.y_spread)},
             {color, 1.5});
}

}  // namespace

Svg draw(const ScatterChart& chart) {
  Axis x = chart.x, y = chart.y;
  for (const ScatterSeries& group : chart.series)
    for (const ScatterPoint& point : group.points) include(x, y, point);
  for (const ScatterPoint& point : chart.faint) include(x, y, point);
  const std::vector<LegendEntry> legend = legend_of(chart);
  const Frame frame(kChartWidth, kScatterPlotHeight, legend, x, y);
  Svg svg(frame.width(), frame.height(), chart.text.id, chart.text.title, chart.text.description);
  draw_heading(svg, legend);
  frame.draw(svg);
  std::vector<Place> front;
  for (const Place& place : chart.front) front.push_back(frame.at(place.x, place.y));
  if (front.size() > 1) svg.polyline(front, {ink(), 1.5});
  Labels labels(frame.plot());
  for (std::size_t i = 1; i < front.size(); ++i) labels.keep_clear_of_line(front[i - 1], front[i]);
  for (const ScatterPoint& point : chart.faint)
    if (has_place(point)) svg.marker(frame.at(point.x, point.y), 2.6, MarkerShape::circle, muted(), point.tooltip);
  for (std::size_t i = 0; i < chart.series.size(); ++i)
    for (const ScatterPoint& point : chart.series[i].points) {
      if (!has_place(point)) continue;
      const Place center = frame.at(point.x, point.y);
      draw_spread(svg, frame, point, series(i));
      svg.marker(center, kRadius, shape(i), series(i), point.tooltip);
      labels.keep_clear({center.x - kRadius, center.y - kRadius, 2 * kRadius, 2 * kRadius});
    }
  for (const ScatterSeries& group : chart.series)
    for (const ScatterPoint& point : group.points)
      if (has_place(point)) labels.place(svg, frame.at(point.x, point.y), point.label);
  return svg;
}

}  // namespace bsq::charts
