// One optimizer step as a recorded sequence: weights from masters, augment, forward, loss, backward, update.
//
// On several ranks the gradients are summed between backward and update, while backward still runs
// (engine/gradient_reducer.h). Captured once for each batch size and replayed; captures are void after a
// re-quantization (new tables): call recapture().
#pragma once

#include "engine/batch_source.h"
#include "engine/executor.h"
#include "engine/gradient_reducer.h"
#include "engine/model.h"

#include <map>
#include <memory>

namespace bsq {

class TrainingStep {
 public:
  /// All references must outlive the step. `metrics_slots`: steps an epoch has.
  TrainingStep(DeviceMemory& memory, Model& model, BatchSource& source, const AugmentRule& augment, const SgdRule& rule,
               int batch_size, std::int64_t metrics_slots, Communicator& communicator);

  /// Enqueues one step on `batch` samples, of which this rank takes its slice; the metrics of the slice land in
  /// inputs.metrics_slot. A rank whose slice is empty adds nothing to the sums and takes part in the rest.
  void run(int batch, const StepInputs& inputs);
  void recapture() { captured_.clear(); }
  /// Of the whole batches. Waits for the steps enqueued so far, or for those before `milestone` alone.
  std::vector<StepMetrics> metrics(std::int64_t first_slot, std::int64_t count,
                                   const Milestone* milestone = nullptr) const;
  ReducedBytes reduced_bytes() const { return reducer_.bytes_per_step(); }
  Executor& executor() { return executor_; }

 private:
  void enqueue(int batch, float weight);
  void enqueue_slice(int batch, float weight);
  void enqueue_nothing();

  Backend& backend_;
  Model& model_;
  BatchSource& source_;
  AugmentRule augment_;
  SgdRule rule_;
  Communicator& communicator_;
  Executor executor_;
  GradientReducer reducer_;
  Buffer labels_;
  Buffer inputs_;                                                          // StepInputs
  Buffer metrics_;                                                         // StepMetrics by slot
  std::map<std::pair<int, int>, std::unique_ptr<CapturedWork>> captured_;  // by this rank's samples and everybody's
};

}  // namespace bsq
