// Weights on a grid of halves, which a penalty frees of their last bit, all tensors in one call (METHOD 20).
#pragma once

#include "kernels/ops/sgd.h"

namespace bsq {

/// No scale is smaller: with one below 0 all weights change their signs.
inline constexpr float kSmallestMsqScale = 1e-8F;

/// One tensor of such weights: u at weight_offset of its arena, of the effective weights and of d_weights.
/// msq_scratch_bytes: for msq_step.
struct MsqTensor {
  std::int64_t numel = 0;
  std::int64_t weight_offset = 0;
  std::int32_t bits = 0;  // n, of k without its sign; 0: the tensor is zero and stays zero
  float pull = 0;         // the penalty's strength is multiplied by it; 0: no penalty
  WeightStorage storage = WeightStorage::values;
  DecayedParts decay = {};
};

/// weights_from_msq: k = clamp(round(2^n u), -N, N), N = 2^n - 1, half to even; weights = s k / 2^n; 0 if bits = 0.
/// Integers: k, with the unit s / 2^n.
struct MsqForwardArgs {
  DeviceTable<MsqTensor> tensors;
  const float* u = nullptr;
  const float* scales = nullptr;
  float* weights = nullptr;
  float* weight_units = nullptr;  // [tensors]; written if weights are integers; null if none are
};

/// msq_step: g_u = s dW + method[0] pull sign(B), B = k_n - 2 k_(n-1), k_0 = 0; g_s = sum(k / 2^n dW); then `rule`; u
/// is clamped to [-1, 1] afterwards, and s is at least kSmallestMsqScale. Nothing moves if bits = 0. Gradients of
/// integers as in PlanesStepArgs.
struct MsqStepArgs {
  DeviceTable<MsqTensor> tensors;
  SgdRule rule;
  const StepInputs* inputs = nullptr;  // method[0]: the penalty's strength
  const float* d_weights = nullptr;
  float* u = nullptr;
  float* u_momentum = nullptr;
  float* scales = nullptr;
  float* scale_momentum = nullptr;
  void* scratch = nullptr;
};

}  // namespace bsq
