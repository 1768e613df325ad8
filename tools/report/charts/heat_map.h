// A table as colours: bits of layers over time, ones of planes.
#pragma once

#include "tools/report/charts/frame.h"

namespace bsq::charts {

struct HeatCell {
  double value = 0;       // not finite: the cell is left out
  int change = 0;         // against the cell before: fallen (< 0) or grown (> 0), which is marked
  std::string text = {};  // shown if it fits
  std::string tooltip = {};
};

/// Neighbouring columns that stand together, a little apart from others.
struct HeatGroup {
  std::string name = {};  // above them, if it fits
  std::size_t columns = 0;
};

struct HeatMap {
  ChartText text = {};
  std::string x_title = {};
  std::string y_title = {};
  std::vector<std::string> rows = {};
  std::vector<std::string> columns = {};
  bool names = false;  // columns have names, which are all shown, turned if they must be; else numbers in an order
  std::vector<HeatGroup> groups = {};                       // of all columns, or empty
  std::vector<std::vector<HeatCell>> cells = {};            // [row][column]; a short row ends early
  Range range = {};                                         // from faint to strong
  std::vector<std::pair<double, std::string>> legend = {};  // values and what they are called
  std::string fallen = {};                                  // for the legend, if cells have changes
  std::string grown = {};
};

/// If there are too many columns to show each, equal neighbours in a row become one shape.
Svg draw(const HeatMap& map);

}  // namespace bsq::charts
