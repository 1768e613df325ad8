// One optimizer step as a recorded sequence: weights from masters, augment, forward, loss, backward, update.
//
// Captured once for each batch size and replayed; captures are void after a re-quantization (new tables): call
// recapture().
#pragma once

#include "engine/batch_source.h"
#include "engine/executor.h"
#include "engine/model.h"

#include <map>
#include <memory>

namespace bsq {

class TrainingStep {
 public:
  /// All references must outlive the step. `metrics_slots`: steps an epoch has.
  TrainingStep(DeviceMemory& memory, Model& model, BatchSource& source, const AugmentRule& augment, const SgdRule& rule,
               int batch_size, std::int64_t metrics_slots);

  /// Enqueues one step on `batch` samples; its metrics land in inputs.metrics_slot.
  void run(int batch, const StepInputs& inputs);
  void recapture() { captured_.clear(); }
  /// Waits for the steps enqueued so far.
  std::vector<StepMetrics> metrics(std::int64_t first_slot, std::int64_t count) const;
  Executor& executor() { return executor_; }

 private:
  void enqueue(int batch);

  Backend& backend_;
  Model& model_;
  BatchSource& source_;
  AugmentRule augment_;
  SgdRule rule_;
  Executor executor_;
  Buffer labels_;
  Buffer inputs_;   // StepInputs
  Buffer metrics_;  // StepMetrics by slot
  std::map<int, std::unique_ptr<CapturedWork>> captured_;
};

}  // namespace bsq
