// The figures of several runs.
#pragma once

#include "tools/report/comparison.h"
#include "tools/report/report_figures.h"

#include <vector>

namespace bsq {

/// Accuracy against size with the Pareto lines; the bits of every layer by setting, and by run where sizes are alike;
/// the share of every layer in operations and bytes. What the runs have nothing for is left out.
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
