// Points with their spread, and a line through the best of them.
#pragma once

#include "tools/report/charts/frame.h"

namespace bsq::charts {

struct ScatterPoint {
  double x = 0;
  double y = 0;
  double x_spread = 0;  // to either side; 0: none is drawn
  double y_spread = 0;
  std::string label = {};
  std::string tooltip = {};
};

struct ScatterSeries {
  std::string name = {};  // in the legend, if there are several
  std::vector<ScatterPoint> points = {};
  std::vector<Place> front = {};  // a line of its own through the best of them, in data, from left to right
};

struct ScatterChart {
  ChartText text = {};
  Axis x = {};
  Axis y = {};
  std::vector<ScatterSeries> series = {};
  std::vector<ScatterPoint> faint = {};  // drawn small, without labels: the single runs behind a mean
  std::string faint_name = {};
  std::vector<Place> front = {};  // in data, from left to right
  std::string front_name = {};
  std::string series_front_name = {};       // of the lines of series
  std::vector<ScatterSeries> foreign = {};  // from elsewhere: hollow, without colour, always named in the legend
};

Svg draw(const ScatterChart& chart);

}  // namespace bsq::charts
