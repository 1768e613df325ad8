// Small histograms side by side, all with the same scale: the weights of every layer on their grid.
#pragma once

#include "tools/report/charts/frame.h"

#include <cstdint>

namespace bsq::charts {

struct Histogram {
  std::string name = {};
  std::string note = {};                  // under the name
  std::vector<std::int64_t> counts = {};  // of equal bins; `low` is the middle of the first one, `high` of the last
  double low = 0;
  double high = 0;
};

struct Histograms {
  ChartText text = {};
  std::string x_title = {};
  std::string y_title = {};
  std::vector<Histogram> panels = {};
};

/// Counts on a logarithmic scale that begins at 0, since most weights are zero.
Svg draw(const Histograms& histograms);

}  // namespace bsq::charts
