// Several runs side by side: which belong together, what tells them apart, what may be compared.
#pragma once

#include "tools/report/run_report.h"
#include "tools/report/shown_stages.h"

#include <optional>
#include <string>
#include <vector>

namespace bsq {

/// Mean and standard deviation over runs (of a sample; 0 for one run), and how far they lie apart.
struct MeanAndSpread {
  double mean = 0;
  double spread = 0;
  double low = 0;
  double high = 0;
};

/// Runs that differ in nothing but their seed.
struct RunGroup {
  std::string method;     // RunMethod::title; with its strength, `BSQ (alpha)`, if others of it have another one
  std::string label;      // what sets it apart: `bsq.alpha=0.01`, `BSQ, alpha 0.01`, or the folder of its first run
  std::string series;     // its label without strengths such as bsq.alpha; empty if nothing or no strength is left
  std::string in_series;  // its strengths, `alpha 0.01`; the label if it has none
  std::vector<const RunReport*> runs;
  std::vector<const RunReport*> finished;  // those with a quantized model; the numbers below are theirs
  MeanAndSpread top1;                      // of the last finished stage at its best
  MeanAndSpread last_top1;                 // of its last epoch
  MeanAndSpread bits;
  MeanAndSpread stored_bits;
  MeanAndSpread compression;
  MeanAndSpread compression_everything;
  std::optional<MeanAndSpread> float_top1;     // nothing unless it is known of all; likewise those below
  std::optional<MeanAndSpread> deployed_top1;  // in integers
  std::optional<MeanAndSpread> packed_bytes;
  std::optional<MeanAndSpread> bops;
  std::optional<MeanAndSpread> seconds_per_step;  // of the stage of the method; likewise
  std::optional<MeanAndSpread> weight_bytes_per_step;
  bool on_front = false;         // no other group is both as accurate and as small, and better in one of the two
  bool on_series_front = false;  // likewise among those of its series
};

struct Comparison {
  std::vector<const RunReport*> runs;
  std::vector<RunGroup> groups;
  std::optional<Strength> axis;  // set if groups differ in this key alone
  bool several_methods = false;  // among groups with a finished run
  bool same_network = true;
  bool same_data = true;
  std::vector<std::string> remarks;  // what cannot be compared or is not in the figures, one sentence each
};

/// What the run's method cost in a step: its own stage, the last that trains if it has none.
const StageReport* method_stage(const RunReport& report);
/// Whether the last finished stage has a quantized model whose size is known.
bool is_quantized(const RunReport& report);

/// The runs must outlive the result.
Comparison compare(const std::vector<RunReport>& reports);

}  // namespace bsq
