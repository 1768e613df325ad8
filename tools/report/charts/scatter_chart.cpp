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
constexpr double kForeignRadius = 4.5;
constexpr double kFaintRadius = 2.6;
constexpr const char* kSeriesFrontDashes = "5 4";

bool overlap(const Box& a, const Box& b) {
  return a.left < b.right() && b.left < a.right() && a.top < b.bottom() && b.top < a.bottom();
}

double distance(const Box& box, Place place) {
  return std::hypot(std::max({box.left - place.x, place.x - box.right(), 0.0}),
                    std::max({box.top - place.y, place.y - box.bottom(), 0.0}));
}

/// Puts labels on the first free place of these: right, left, above, below; on one clear of lines if there is one. A
/// label is nearer to its own point than to any other that has one. Without room it is left out, since the tooltip says
/// the same.
class Labels {
 public:
  explicit Labels(const Box& plot) : plot_(plot) {}

  void add_point(Place point) { points_.push_back(point); }

  void keep_clear(const Box& box) { taken_.push_back(box); }

  void keep_clear_of_line(Place from, Place to) {
    constexpr double kStep = 4;
    const double length = std::hypot(to.x - from.x, to.y - from.y);
    for (double at = 0; at <= length; at += kStep) {
      const double share = length > 0 ? at / length : 0;
      lines_.push_back({from.x + share * (to.x - from.x) - 2, from.y + share * (to.y - from.y) - 2, 4, 4});
    }
  }

  void place(Svg& svg, Place point, const std::string& text, const Color& color = ink()) {
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
            box.bottom() > plot_.bottom() || hits(taken_, box) || (clear_of_lines && hits(lines_, box)) ||
            seems_of_another(box, point))
          continue;
        svg.text({box.left, box.top + kSmallSize}, text, {.size = kSmallSize, .color = color});
        keep_clear(box);
        return;
      }
  }

 private:
  static bool hits(const std::vector<Box>& boxes, const Box& box) {
    return std::any_of(boxes.begin(), boxes.end(), [&](const Box& other) { return overlap(box, other); });
  }

  /// No place tells points apart that lie on each other.
  bool seems_of_another(const Box& box, Place point) const {
    const double own = distance(box, point);
    return std::any_of(points_.begin(), points_.end(), [&](Place other) {
      return std::hypot(other.x - point.x, other.y - point.y) > kRadius && distance(box, other) < own;
    });
  }

  Box plot_;
  std::vector<Place> points_;
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

bool has_front(const ScatterSeries& group) {
  return group.front.size() > 1;
}

/// They are hollow, which tells them from the shapes of series.
MarkerShape foreign_shape(std::size_t number) {
  return number % 2 == 0 ? MarkerShape::diamond : MarkerShape::down_triangle;
}

std::vector<LegendEntry> legend_of(const ScatterChart& chart) {
  std::vector<LegendEntry> legend;
  if (chart.series.size() > 1)
    for (std::size_t i = 0; i < chart.series.size(); ++i)
      legend.push_back({chart.series[i].name, series(i), LegendEntry::Kind::marker, shape(i)});
  if (!chart.faint.empty())
    legend.push_back({chart.faint_name, muted(), LegendEntry::Kind::marker, MarkerShape::circle});
  for (std::size_t i = 0; i < chart.foreign.size(); ++i)
    legend.push_back({.name = chart.foreign[i].name,
                      .color = muted(),
                      .kind = LegendEntry::Kind::marker,
                      .shape = foreign_shape(i),
                      .hollow = true});
  if (chart.front.size() > 1) legend.push_back({chart.front_name, ink(), LegendEntry::Kind::line});
  if (std::any_of(chart.series.begin(), chart.series.end(), has_front))
    legend.push_back(
        {chart.series_front_name, muted(), LegendEntry::Kind::line, MarkerShape::circle, kSeriesFrontDashes});
  return legend;
}

/// A line through places in data, and what is kept clear of it.
void draw_front(Svg& svg, const Frame& frame, Labels& labels, const std::vector<Place>& front, const Stroke& stroke) {
  std::vector<Place> places;
  for (const Place& place : front) places.push_back(frame.at(place.x, place.y));
  if (places.size() < 2) return;
  svg.polyline(places, stroke);
  for (std::size_t i = 1; i < places.size(); ++i) labels.keep_clear_of_line(places[i - 1], places[i]);
}

/// Points from elsewhere lie below those of runs.
void draw_foreign(Svg& svg, const Frame& frame, Labels& labels, const ScatterChart& chart) {
  for (std::size_t i = 0; i < chart.foreign.size(); ++i)
    for (const ScatterPoint& point : chart.foreign[i].points) {
      if (!has_place(point)) continue;
      const Place center = frame.at(point.x, point.y);
      svg.hollow_marker(center, kForeignRadius, foreign_shape(i), muted(), point.tooltip);
      labels.keep_clear({center.x - kForeignRadius, center.y - kForeignRadius, 2 * kForeignRadius, 2 * kForeignRadius});
    }
}

void draw_spread(Svg& svg, const Frame& frame, Labels& labels, const ScatterPoint& point, const Color& color) {
  const Place center = frame.at(point.x, point.y);
  const auto line = [&](Place from, Place to) {
    svg.line(from, to, {color, 1.5});
    labels.keep_clear_of_line(from, to);
  };
  if (point.x_spread > 0)
    line({frame.x(point.x - point.x_spread), center.y}, {frame.x(point.x + point.x_spread), center.y});
  if (point.y_spread > 0)
    line({center.x, frame.y(point.y - point.y_spread)}, {center.x, frame.y(point.y + point.y_spread)});
}

}  // namespace

Svg draw(const ScatterChart& chart) {
  Axis x = chart.x, y = chart.y;
  for (const std::vector<ScatterSeries>* all : {&chart.series, &chart.foreign})
    for (const ScatterSeries& group : *all)
      for (const ScatterPoint& point : group.points) include(x, y, point);
  for (const ScatterPoint& point : chart.faint) include(x, y, point);
  const std::vector<LegendEntry> legend = legend_of(chart);
  const Frame frame(kChartWidth, kScatterPlotHeight, legend, x, y);
  Svg svg(frame.width(), frame.height(), chart.text.id, chart.text.title, chart.text.description);
  draw_heading(svg, legend);
  frame.draw(svg);
  Labels labels(frame.plot());
  for (std::size_t i = 0; i < chart.series.size(); ++i)
    draw_front(svg, frame, labels, chart.series[i].front, {series(i), 1.5, kSeriesFrontDashes});
  draw_front(svg, frame, labels, chart.front, {ink(), 1.5});
  draw_foreign(svg, frame, labels, chart);
  for (const ScatterPoint& point : chart.faint) {
    if (!has_place(point)) continue;
    const Place center = frame.at(point.x, point.y);
    svg.marker(center, kFaintRadius, MarkerShape::circle, muted(), point.tooltip);
    labels.keep_clear_of_line(center, center);
  }
  for (std::size_t i = 0; i < chart.series.size(); ++i)
    for (const ScatterPoint& point : chart.series[i].points) {
      if (!has_place(point)) continue;
      const Place center = frame.at(point.x, point.y);
      draw_spread(svg, frame, labels, point, series(i));
      svg.marker(center, kRadius, shape(i), series(i), point.tooltip);
      labels.keep_clear({center.x - kRadius, center.y - kRadius, 2 * kRadius, 2 * kRadius});
    }
  for (const std::vector<ScatterSeries>* all : {&chart.series, &chart.foreign})
    for (const ScatterSeries& group : *all)
      for (const ScatterPoint& point : group.points)
        if (has_place(point) && !point.label.empty()) labels.add_point(frame.at(point.x, point.y));
  for (const ScatterSeries& group : chart.series)
    for (const ScatterPoint& point : group.points)
      if (has_place(point)) labels.place(svg, frame.at(point.x, point.y), point.label);
  for (const ScatterSeries& group : chart.foreign)
    for (const ScatterPoint& point : group.points)
      if (has_place(point)) labels.place(svg, frame.at(point.x, point.y), point.label, muted());
  return svg;
}

}  // namespace bsq::charts
