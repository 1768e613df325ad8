// Accuracy of a model on a set, batch after batch in the order of the set.
//
// If activations are quantized, their scale is the maximum of each batch, so that the batch size changes the result
// (METHOD 6), or a calibrated one (METHOD 11).
#pragma once

#include "engine/input/batch_source.h"
#include "engine/input/batches.h"
#include "engine/input/input_options.h"
#include "engine/model/model.h"
#include "engine/network/executor.h"
#include "engine/ranks/ranks.h"
#include "engine/training/step_feed.h"
#include "kernels/ranks/communicator.h"

#include <map>
#include <memory>

namespace bsq {

struct EvalResult {
  double loss_sum = 0;
  std::int64_t top1 = 0;
  std::int64_t top5 = 0;
  std::int64_t samples = 0;

  double loss() const { return loss_sum / static_cast<double>(samples); }
  double top1_percent() const { return 100.0 * static_cast<double>(top1) / static_cast<double>(samples); }
  double top5_percent() const { return 100.0 * static_cast<double>(top5) / static_cast<double>(samples); }
};

class Evaluator {
 public:
  /// All references must outlive the evaluator; `source` is read by nobody else.
  Evaluator(DeviceMemory& memory, Model& model, BatchSource& source, const InputOptions& input, int batch_size,
            Communicator& communicator);

  /// Runs the whole set: each rank its share of the batches, whose results are added in the order of the set. So the
  /// result does not depend on how many ranks there are.
  EvalResult run(ActScale act_scale = ActScale::batch_max);
  const Executor& executor() const { return executor_; }

 private:
  void enqueue(int batch, ActScale act_scale);

  Backend& backend_;
  Model& model_;
  BatchSource& source_;
  AugmentRule input_;
  Batches batches_;
  Communicator& communicator_;
  Executor executor_;
  Buffer labels_;
  Slice own_;                                                                   // batches of this rank
  StepFeed feed_;                                                               // their steps, the same in every run
  Buffer metrics_;                                                              // one StepMetrics per batch
  std::map<std::pair<int, ActScale>, std::unique_ptr<CapturedWork>> captured_;  // by batch size
};

}  // namespace bsq
