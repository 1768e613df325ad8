// One optimizer step as a recorded sequence: augment, forward, loss, backward, update of masters and weights.
//
// On several ranks the gradients are summed between backward and update, while backward still runs
// (engine/training/gradient_reducer.h), then clipped, if that is wanted. Captured once for each batch size and
// replayed; captures are void after a re-quantization (new tables): call recapture().
#pragma once

#include "engine/input/batch_source.h"
#include "engine/model/frozen_network.h"
#include "engine/model/model.h"
#include "engine/network/executor.h"
#include "engine/training/gradient_clipper.h"
#include "engine/training/gradient_reducer.h"
#include "engine/training/step_feed.h"
#include "engine/training/weight_average.h"

#include <map>
#include <memory>

namespace bsq {

struct TrainingOptions {
  AugmentRule augment = {};
  SgdRule rule = {};
  float label_smoothing = 0;         // of the loss, whose sum in the metrics has it too
  bool mixes = false;                // images, and the labels in the loss, as StepInputs::mix says
  float clip_norm = 0;               // of the gradients of all ranks together; 0: they are as long as they are
  int batch_size = 0;                // of all ranks together
  std::int64_t metrics_slots = 0;    // steps an epoch has: as many can be planned together
  std::uint32_t dropout_stream = 0;  // of the stage (engine/input/sampler.h); the seed is that of `augment`
  bool synchronised_norms = false;   // batch statistics and activation scales are those of the whole batch (METHOD 10)
  /// Its logits on the same images are a target beside the labels, as inference gives them; null: none. It outlives the
  /// step.
  const FrozenNetwork* teacher = nullptr;
  float teacher_weight = 0;  // 0..1, the rest is that of the labels
  float temperature = 1;
  WeightAverage* average = nullptr;  // moves with every step; null: none. It outlives the step
};

/// A step to come.
struct PlannedStep {
  int batch = 0;  // samples, of all ranks together
  StepInputs inputs;
};

class TrainingStep {
 public:
  /// All references must outlive the step; `source` is read by nobody else.
  TrainingStep(DeviceMemory& memory, Model& model, BatchSource& source, const TrainingOptions& options,
               Communicator& communicator);

  /// Uploads the inputs of the coming steps, in place of those that have not been run.
  void plan(std::vector<PlannedStep> steps);
  /// Enqueues the next planned step, of whose batch this rank takes its slice; the metrics of the slice land in
  /// inputs.metrics_slot. A rank whose slice is empty adds nothing to the sums and takes part in the rest.
  void run();
  /// Runs one step that was not planned.
  void run(int batch, const StepInputs& inputs) {
    plan({{batch, inputs}});
    run();
  }
  void recapture() { captured_.clear(); }
  /// Metrics of the whole batches. Waits for the steps enqueued so far, or for those before `marker` alone.
  std::vector<StepMetrics> metrics(std::int64_t first_slot, std::int64_t count, const Marker* marker = nullptr) const;
  ReducedBytes reduced_bytes() const;
  Executor& executor() { return executor_; }
  /// Null if there is no teacher.
  const Executor* teacher() const { return teacher_.get(); }

 private:
  void enqueue(int count, int batch);
  void enqueue_samples(int count, float weight, BatchSlice* slice);
  void enqueue_nothing();
  /// Of a batch from place `first` on, this rank's part.
  BatchRange own_range(int batch, std::int64_t first) const;
  void enqueue_loss(int count);
  SampleKeys keys() const;

  Backend& backend_;
  Model& model_;
  BatchSource& source_;
  AugmentRule augment_;
  SgdRule rule_;
  float label_smoothing_;
  bool mixes_;
  Distillation distillation_;  // without logits
  std::uint32_t dropout_stream_;
  bool synchronised_norms_;
  Communicator& communicator_;
  std::unique_ptr<Executor> teacher_;
  Executor executor_;
  GradientReducer reducer_;
  GradientClipper clipper_;
  WeightAverage* average_;
  Buffer labels_;
  StepFeed feed_;
  std::vector<PlannedStep> planned_;
  std::size_t next_ = 0;                                                   // of those
  Buffer metrics_;                                                         // StepMetrics by slot
  std::map<std::pair<int, int>, std::unique_ptr<CapturedWork>> captured_;  // by this rank's samples and everybody's
};

}  // namespace bsq
