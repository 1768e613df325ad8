// Replays the training steps of a reference trace with the product's own classes and keeps what a comparison needs.
//
// Step 0 is taken apart (weights, forward, loss, backward, update) to look between; further steps are TrainingStep's.
// Batches come in the order stored, normalised, without augmentation.
#pragma once

#include "engine/input/image_set.h"
#include "engine/input/resident_source.h"
#include "engine/model/model.h"
#include "engine/training/evaluator.h"
#include "engine/training/training_step.h"
#include "models/resnet.h"
#include "tests/golden/trace.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bsq::golden {

/// What the metadata says about a run, and the float model it starts from.
struct TrainingSetup {
  TensorFile initial;  // normalised names
  ResNetOptions network;
  SgdRule rule;
  float learning_rate = 0;
  float alpha = 0;
  int batch = 0;
  int steps = 1;
};
TrainingSetup read_setup(const TensorFile& trace);
/// `layer3.2.`, in a network of depth 20.
std::string last_block(const TrainingSetup& setup);

/// Whether the oracle's plain loops would take longer than about half a minute for this; if so, that is noted.
bool too_slow_for_reference(const TrainingSetup& setup, Comparison& comparison);

using StoredTensors = std::map<std::string, HostTensor>;

/// Between backward and update of step 0, and after it. Tensors have the names and layouts of a file.
struct FirstStep {
  StepMetrics metrics;
  std::vector<float> logits;
  // Of the last activation, by channel: how close a value comes to a kink (0, or the ceiling).
  std::vector<double> kink_distances;
  std::map<std::string, std::vector<float>> weight_grads;   // dCE/dW of the effective weights, by parameter
  std::map<std::string, double> scale_gradient_magnitudes;  // sum |q dCE/dW|, by the scale's name
  StoredTensors before, after;                              // parameters and running statistics
  std::map<std::string, std::vector<float>> gradients;      // of the whole loss without weight decay
};

class TrainingReplay {
 public:
  TrainingReplay(Backend& backend, const TensorFile& trace, const TrainingSetup& setup,
                 const std::function<Weights(const ArenaLayout&)>& make_weights);

  Model& model() { return model_; }
  FirstStep run_first_step();
  /// Step `step` >= 1.
  StepMetrics run_step(int step);
  /// Logits of the first `count` images in evaluation mode, one batch.
  std::vector<float> evaluate(int count);

 private:
  std::vector<double> kink_distances(const Executor& executor) const;
  void read_weight_gradients(FirstStep& result) const;

  Backend& backend_;
  TrainingSetup setup_;
  std::unique_ptr<Communicator> alone_ = make_single_process();
  ImageSet images_;
  DeviceMemory memory_;
  Model model_;
  ResidentSource source_;
  std::unique_ptr<TrainingStep> further_steps_;
};

/// All of step 0 that a trace of either kind holds: step0.logits, step0.grad.*, step0.weight_grad.*, after1.*.
void compare_first_step(const std::string& backend, const TensorFile& trace, const TrainingSetup& setup,
                        const FirstStep& step, Comparison& comparison);

}  // namespace bsq::golden
