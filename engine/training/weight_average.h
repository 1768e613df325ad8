// An exponential moving average of a model, which is evaluated and kept in place of the weights that training moves
// (`ema`, METHOD 18).
#pragma once

#include "engine/model/model.h"

#include <vector>

namespace bsq {

class WeightAverage {
 public:
  /// Begins with the weights as they are. Plans the memory for all that the model can become. `model` must outlive the
  /// average. `decay`: 0 < decay < 1, what is kept of the average in a step.
  WeightAverage(DeviceMemory& memory, Model& model, double decay);
  WeightAverage(const WeightAverage&) = delete;
  WeightAverage& operator=(const WeightAverage&) = delete;

  /// Enqueues what belongs behind a step of the optimizer: the average moves towards the weights, running statistics
  /// included; calibrated activation scales do not take part.
  void enqueue();
  /// Begins anew with the weights as they are, whose widths may be others now: captured steps are void afterwards.
  void restart();
  /// The average takes the place of the model, and the model that of the average; twice: nothing has happened.
  void exchange();
  /// What files hold of the average.
  OnDevice<ModelState> on_device() const;
  /// Reads what the average of a resumed run is, while the model holds what it was resumed with. Throws
  /// Error(checkpoint).
  void load(const TensorFile& file, int max_bits);

 private:
  /// Numbers of the model that lie beside each other, and where their averages lie.
  struct Run {
    DeviceSpan of_model;
    std::size_t offset = 0;  // floats, in averages_
  };
  float* place_of(const DeviceSpan& span) const;

  Backend& backend_;
  Model& model_;
  float weight_;  // of the newest weights
  std::vector<Run> runs_;
  std::vector<AveragedTensor> tensors_;
  Buffer table_;
  Buffer averages_;
  Buffer aside_;  // a piece of a run while it changes places
};

/// The file of an average for a checkpoint beside that of its model: where the scale of one is below 0 in training and
/// that of the other is not, its metadata say so.
TensorFile average_to_file(const Model& model, const ModelState& average, const ModelState& trained, ModelCard card);

}  // namespace bsq
