// Where runs spend their bits: widths of layers in runs of the same size, and what share of the operations and of the
// bytes each layer has.
#pragma once

#include "tools/report/comparison.h"
#include "tools/report/report_figures.h"

#include <string>
#include <vector>

namespace bsq {

struct SizedRun {
  const RunReport* run = nullptr;
  const RunGroup* group = nullptr;
  double stored_bits = 0;
};

/// Runs whose stored bits are alike: the largest has at most a tenth more than the smallest.
using BudgetPanel = std::vector<SizedRun>;

/// All runs with a quantized model, from small to large; empty if networks differ.
std::vector<BudgetPanel> panels_of(const Comparison& comparison);
/// Bits of every layer in every run, runs of the same size side by side.
ReportFigure widths_figure(const std::vector<BudgetPanel>& panels);

/// Means over runs.
struct LayerShare {
  double macs = 0;
  double bops = 0;
  double bops_percent = 0;
  double bytes = 0;
  double bytes_percent = 0;  // of the whole model, packed
};

/// Of every setting of whose runs all have a model; empty if networks differ.
struct ShareComparison {
  std::vector<std::string> layers;  // those that multiply
  std::vector<const RunGroup*> groups;
  std::vector<std::vector<LayerShare>> shares;  // [group][layer]
  std::vector<LayerShare> in_float;             // [layer]: the network in float32
};
ShareComparison compare_shares(const Comparison& comparison);
/// One of operations, one of bytes.
std::vector<ReportFigure> share_figures(const ShareComparison& shares);

}  // namespace bsq
