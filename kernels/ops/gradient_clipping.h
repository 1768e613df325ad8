// Gradient clipping: all gradients of a step together get a norm of at most so much (METHOD 3).
#pragma once

#include "kernels/types.h"

namespace bsq {

/// What is added to the norm before it divides, as PyTorch does.
inline constexpr double kNormMargin = 1e-6;

/// One tensor of gradients in their arena. clip_scratch_bytes: for clip_gradients.
struct GradientTensor {
  std::int64_t numel = 0;
  std::int64_t weight_offset = 0;  // floats, in the arena of gradients
  const float* unit = nullptr;     // [1], in device memory, of weights stored as integers; null: stored as they are
};

/// clip_gradients: gradients *= min(1, max_norm / (norm + kNormMargin)), as PyTorch's clip_grad_norm_ does, with norm =
/// sqrt(sum of g^2 over all tensors). g is the gradient of the weights: that of integers is divided by their unit, and
/// is 0 where the unit is 0. If there is a NaN, all become NaN. What lies between tensors is not touched.
struct ClipGradientsArgs {
  DeviceTable<GradientTensor> tensors;
  float max_norm = 0;
  float* gradients = nullptr;
  void* scratch = nullptr;
};

}  // namespace bsq
