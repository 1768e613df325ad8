// The figures of several runs.
#pragma once

#include "tools/report/comparison.h"
#include "tools/report/report_figures.h"

#include <vector>

namespace bsq {

/// Accuracy against compression with the Pareto line, and the bits of every layer side by side, as far as the runs have
/// them.
std::vector<ReportFigure> comparison_figures(const Comparison& comparison);

/// The bits of one layer in one group of runs.
struct LayerBits {
  double mean = 0;
  double low = 0;
  double high = 0;
};

/// The bits of every layer of every group with a model; empty if networks differ.
struct LayerComparison {
  std::vector<std::string> layers;
  std::vector<const RunGroup*> groups;
  std::vector<std::vector<LayerBits>> bits;  // [group][layer]
};
LayerComparison compare_layers(const Comparison& comparison);

}  // namespace bsq
