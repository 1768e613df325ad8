// How far a run has come: everything besides tensors that a resumed run needs to go on bit for bit.
#pragma once

#include "engine/run/run_log.h"
#include "kernels/types.h"

#include <nlohmann/json.hpp>

#include <optional>

namespace bsq {

/// Sums over the steps of an epoch so far, in step order.
struct EpochTotals {
  double loss_sum = 0;
  double penalty_sum = 0;
  std::int64_t top1 = 0;
  std::int64_t samples = 0;
  std::int64_t steps = 0;
  double seconds = 0;  // over all runs that took part in the epoch

  void add(const StepMetrics& metrics);
};

struct Progress {
  int stage = 0;                            // index into the chain of stages
  int epoch = 0;                            // within the stage, the one under way
  std::int64_t step = 0;                    // steps of this epoch done
  std::int64_t total_steps = 0;             // over all stages
  int total_epochs = 0;                     // likewise; names the checkpoint folders
  EpochTotals totals;                       // of the epoch under way
  std::optional<double> best_top1;          // percent, of this stage since its last re-quantization, on the test set
  std::optional<double> best_holdout_top1;  // on the images held out, by which the epoch was chosen, if there are any
  int best_epoch = 0;
  double stage_seconds = 0;  // spent in the epochs of this stage that are over
  nlohmann::json method;     // what the stage's method has come to (Method::state); null: nothing
  LogPosition logs;
};

nlohmann::json to_json(const Progress& progress);
/// Throws Error(checkpoint), naming `where`, if a field is missing or of the wrong type.
Progress progress_from_json(const nlohmann::json& json, const std::string& where);

}  // namespace bsq
