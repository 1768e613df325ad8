// Bars in groups: bits of every layer, side by side for several runs.
#pragma once

#include "tools/report/charts/frame.h"

namespace bsq::charts {

struct Bar {
  double value = 0;  // not finite: there is no bar
  double low = 0;    // of the spread, drawn as a line if low < high
  double high = 0;
  std::string tooltip = {};
};

struct BarSeries {
  std::string name = {};       // in the legend, if there are several
  std::vector<Bar> bars = {};  // one per category
};

struct BarChart {
  ChartText text = {};
  std::string x_title = {};
  Axis y = {};  // begins at 0
  std::vector<std::string> categories = {};
  std::vector<BarSeries> series = {};
};

Svg draw(const BarChart& chart);

}  // namespace bsq::charts
