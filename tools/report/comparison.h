// Several runs side by side: which belong together, what tells them apart, what may be compared.
#pragma once

#include "tools/report/run_report.h"
#include "tools/report/shown_stages.h"

#include <optional>
#include <string>
#include <vector>

namespace bsq {

/// Mean and standard deviation over runs (of a sample; 0 for one run).
struct MeanAndSpread {
  double mean = 0;
  double spread = 0;
};

/// Runs that differ in nothing but their seed.
struct RunGroup {
  std::string label;      // what sets it apart: `bsq.alpha=0.01`, or the folder of its first run
  std::string series;     // its label without strengths such as bsq.alpha; empty if nothing or no strength is left
  std::string in_series;  // its strengths, `alpha 0.01`; the label if it has none
  std::vector<const RunReport*> runs;
  std::vector<const RunReport*> finished;  // those with a quantized model; the numbers below are theirs
  MeanAndSpread top1;
  MeanAndSpread bits;
  MeanAndSpread stored_bits;
  MeanAndSpread compression;
  MeanAndSpread compression_everything;
  bool on_front = false;  // no other group is both as accurate and as small, and better in one of the two
};

struct Comparison {
  std::vector<const RunReport*> runs;
  std::vector<RunGroup> groups;
  std::optional<Strength> axis;  // set if groups differ in this key alone
  bool same_network = true;
  bool same_data = true;
  std::vector<std::string> remarks;  // what cannot be compared or is not in the figures, one sentence each
};

/// The runs must outlive the result.
Comparison compare(const std::vector<RunReport>& reports);

}  // namespace bsq
