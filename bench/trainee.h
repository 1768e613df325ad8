// A ResNet in training on random images, step by step, timed. A step is what `bsq train` does: augmentation, forward,
// loss, backward, update with clamp and the weights that follow from it.
#pragma once

#include "engine/input/resident_source.h"
#include "engine/methods/method.h"
#include "engine/training/training_step.h"
#include "models/resnet.h"

#include <memory>
#include <string>
#include <vector>

namespace bsq::bench {

/// What may be measured: `float` for the stage that starts untrained, and the names of the other stages that train.
std::vector<std::string> step_modes();

struct TraineeOptions {
  std::string mode = "bsq";  // one of step_modes()
  Precision precision = Precision::fp32;
  int batch = 128;
  int depth = 20;
  int weight_bits = 8;
  int act_bits = 4;
  int burst = 1;  // steps
};

/// Seconds per step of one burst.
struct BurstTimes {
  double seconds = 0;
  double enqueue_seconds = 0;  // in which the host enqueues it: a device that is fed well takes longer
  double cpu_seconds = 0;      // of all threads
};

class Trainee {
 public:
  Trainee(Backend& backend, const TraineeOptions& options);

  /// Runs steps that are planned together and enqueued one behind the other, with one wait at their end, as in an
  /// epoch.
  BurstTimes run_burst();
  double loss() const;
  double planned_mib() const;

 private:
  Backend& backend_;
  TraineeOptions options_;
  std::unique_ptr<Method> method_;
  DeviceMemory memory_;
  ResidentSource source_;
  Model model_;
  std::unique_ptr<Communicator> alone_ = make_single_process();
  TrainingStep step_;
  std::int64_t next_batch_ = 0;
};

}  // namespace bsq::bench
