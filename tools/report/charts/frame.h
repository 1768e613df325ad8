// What every chart with two axes has: a title, a legend under it, axes with round numbers and titles, a grid.
#pragma once

#include "tools/report/charts/scale.h"
#include "tools/report/charts/svg.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bsq::charts {

inline constexpr double kChartWidth = 860;  // pixels, unless a chart must be wider
inline constexpr double kTitleSize = 15;
inline constexpr double kTextSize = 12;
inline constexpr double kSmallSize = 11;

/// What a chart is called: `id` names its file and its place on a page.
struct ChartText {
  std::string id = {};
  std::string title = {};
  std::string description = {};  // what it shows, for those who do not see it
};

struct LegendEntry {
  std::string name = {};
  Color color;
  enum class Kind { box, line, marker } kind = Kind::box;
  MarkerShape shape = MarkerShape::circle;
  std::string dashes = "";
  bool hollow = false;  // a marker
};

struct Axis {
  std::string title = {};  // with its unit
  Range range = {};
  bool whole = false;                        // whole numbers only
  TickRule rule = TickRule::around;          // whether the axis begins and ends at a tick
  std::vector<std::string> categories = {};  // instead of numbers: category i stands at i
};

/// Draws the title and, wrapped, the legend; returns where the chart may begin.
double draw_heading(Svg& svg, const std::vector<LegendEntry>& legend);
/// The height of such a heading.
double heading_height(double width, const std::vector<LegendEntry>& legend);

/// The area that data is drawn in, and its scales. It is made first: the size of the picture follows from its axes.
class Frame {
 public:
  Frame(double width, double plot_height, const std::vector<LegendEntry>& legend, Axis x, Axis y);

  double width() const { return width_; }
  double height() const { return height_; }
  const Box& plot() const { return plot_; }
  /// Pixels per category, or per 1 on a numeric axis.
  double band() const;
  double x(double value) const { return x_scale_(value); }
  double y(double value) const { return y_scale_(value); }
  Place at(double x_value, double y_value) const { return {x(x_value), y(y_value)}; }

  /// Moves the plot down, and what is below it.
  void leave_room_above(double pixels);

  /// Draws grid, axes, numbers and titles.
  void draw(Svg& svg) const;

 private:
  void draw_categories(Svg& svg) const;
  double category_turn() const;

  double width_;
  double height_ = 0;
  Axis x_axis_;
  Axis y_axis_;
  Ticks x_ticks_;
  Ticks y_ticks_;
  Box plot_;
  Scale x_scale_;
  Scale y_scale_;
};

}  // namespace bsq::charts
