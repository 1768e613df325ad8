// Weights on a grid whose step is trained, all tensors in one call (METHOD 13).
#pragma once

#include "kernels/ops/sgd.h"

namespace bsq {

/// No step is smaller: with one below 0 all weights change their signs, and it never comes back.
inline constexpr float kSmallestStep = 1e-8F;

/// One tensor of such weights: w at weight_offset of its arena, of the effective weights and of d_weights.
/// lsq_scratch_bytes: for lsq_step.
struct LsqTensor {
  std::int64_t numel = 0;
  std::int64_t weight_offset = 0;
  std::int32_t low = 0;   // the levels: low..high, of which 0 is one
  std::int32_t high = 0;  // at most 255; 0: the tensor is zero and stays zero
  float grad_scale = 0;   // g: what the gradient of the step is multiplied by
  WeightStorage storage = WeightStorage::values;
  bool decays = true;  // the weights; the step never does
};

/// weights_from_lsq: weights = s k, k = round(clamp(w / s, low, high)); 0 if high = 0. The quotient is that of float32,
/// so that every backend finds the same level. Integers: k, with the unit s.
struct LsqForwardArgs {
  DeviceTable<LsqTensor> tensors;
  const float* w = nullptr;
  const float* steps = nullptr;
  float* weights = nullptr;
  float* weight_units = nullptr;  // [tensors]; written if weights are integers; null if none are
};

/// lsq_step: g_w = dW where low <= w / s <= high, else 0; g_s = g sum(e dW), e = k - w / s inside, k outside; then
/// `rule`, but no decay of s, which is at least kSmallestStep afterwards. Nothing moves if high = 0. Gradients of
/// integers as in PlanesStepArgs. What the step finds before it moves anything is added to `sensitivities`, if
/// they are there: |sum((w - W) dW)| / numel, W = s k the effective weights (METHOD 13); nothing if high = 0.
struct LsqStepArgs {
  DeviceTable<LsqTensor> tensors;
  SgdRule rule;
  const StepInputs* inputs = nullptr;
  const float* d_weights = nullptr;
  float* w = nullptr;
  float* w_momentum = nullptr;
  float* steps = nullptr;
  float* step_momentum = nullptr;
  void* scratch = nullptr;
  float* sensitivities = nullptr;  // [tensors]; null: nobody asks
};

}  // namespace bsq
