// Fixed-point weights, all tensors in one call (METHOD 5).
#pragma once

#include "kernels/ops/sgd.h"

namespace bsq {

/// One tensor of fixed-point weights: u at weight_offset of its arena, of the effective weights and of d_weight.
/// fixed_scratch_bytes: for fixed_step.
struct FixedTensor {
  std::int64_t numel = 0;
  std::int64_t weight_offset = 0;
  std::int32_t bits = 0;  // 0: the tensor is zero and stays zero
  WeightStorage storage = WeightStorage::values;
  DecayedParts decay = {};
};

/// weights_from_fixed: weights = s sign(v) round(|v| (2^n - 1)) / (2^n - 1), v = clamp(u, -1, 1); 0 if bits = 0.
/// Integers as in PlanesForwardArgs.
struct FixedForwardArgs {
  DeviceTable<FixedTensor> tensors;
  const float* u = nullptr;
  const float* scales = nullptr;
  float* weights = nullptr;
  float* weight_units = nullptr;  // [tensors]; written if weights are integers; null if none are
};

/// fixed_step: g_u = s dW, g_s = sum(q dW), then `rule`; u is clamped to [-1, 1] afterwards. Nothing moves if
/// bits = 0. Integers as in PlanesStepArgs.
struct FixedStepArgs {
  DeviceTable<FixedTensor> tensors;
  SgdRule rule;
  const StepInputs* inputs = nullptr;
  const float* d_weights = nullptr;
  float* u = nullptr;
  float* u_momentum = nullptr;
  float* scales = nullptr;
  float* scale_momentum = nullptr;
  void* scratch = nullptr;
};

}  // namespace bsq
