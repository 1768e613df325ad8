// Clips the gradients of a model before the optimizer's step, if a stage wants that (`clip_norm`).
#pragma once

#include "engine/model/model.h"

#include <vector>

namespace bsq {

class GradientClipper {
 public:
  /// `model` must outlive the clipper. `max_norm` = 0: nothing is clipped, and no memory taken.
  GradientClipper(DeviceMemory& memory, Model& model, float max_norm);
  /// Clips Model::gradients() to the norm. Of several ranks each calls it on the sums of all, to the same effect.
  void enqueue();

 private:
  Backend& backend_;
  const Buffer& gradients_;
  float max_norm_;
  std::vector<GradientTensor> tensors_;
  Buffer table_;
  Buffer scratch_;
};

}  // namespace bsq
