// Lines over epochs: losses, accuracies, bits.
#pragma once

#include "tools/report/charts/frame.h"

namespace bsq::charts {

struct LineSeries {
  std::string name = {};
  std::vector<Place> points = {};  // in units of the data; a y that is not finite interrupts the line
  bool dashed = false;
};

/// A part of the x axis with a name: a stage.
struct Span {
  double from = 0;
  double to = 0;
  std::string name = {};
};

struct Mark {
  double x = 0;
  std::string tooltip = {};
};

struct LineChart {
  ChartText text = {};
  Axis x = {};  // its range is at least this
  Axis y = {};  // likewise
  std::vector<LineSeries> series = {};
  std::vector<Span> spans = {};
  std::vector<Mark> marks = {};
  std::string mark_name = {};  // for the legend
  /// Begins a tooltip, before x and the values of all series there.
  std::string tooltip_x = "epoch";
};

Svg draw(const LineChart& chart);

}  // namespace bsq::charts
