// Weights on the grid of odd levels that DoReFa-Net trains under, all tensors in one call (METHOD 19).
#pragma once

#include "kernels/ops/sgd.h"

namespace bsq {

/// One tensor of such weights: v at weight_offset of its arena, of the effective weights and of d_weights.
/// dorefa_scratch_bytes: for both operations.
struct DorefaTensor {
  std::int64_t numel = 0;
  std::int64_t weight_offset = 0;
  std::int32_t bits = 1;  // 1..8: levels -(2^bits - 1) .. 2^bits - 1 in steps of 2
  float scale = 1;        // s, the largest weight; never trained
  WeightStorage storage = WeightStorage::values;
  bool decays = true;
};

/// The largest |tanh v| of a tensor, and the first v that has it.
struct DorefaPeak {
  float height = 0;  // T; the divisor is 1 where all are 0
  std::int32_t index = 0;
};

/// weights_from_dorefa: T = max |tanh v|, weights = s k / N, N = 2^bits - 1, k = 2 round((tanh(v) / T / 2 + 1/2) N) -
/// N, half to even; integers: k, with the unit s / N. tanh is that of kernels/dorefa_tanh.h and all else float32
/// without fused operations, so that every backend and a file find the same level. Writes peaks.
struct DorefaForwardArgs {
  DeviceTable<DorefaTensor> tensors;
  const float* v = nullptr;
  float* weights = nullptr;
  float* weight_units = nullptr;  // [tensors]; written if weights are integers; null if none are
  DorefaPeak* peaks = nullptr;    // [tensors]
  void* scratch = nullptr;
};

/// dorefa_step: with h = tanh v and m the index of the peak, g_i = s / T (1 - h_i^2) (dW_i - [i = m] sign(h_m)
/// sum(dW h) / T); then `rule`. `peaks`: as weights_from_dorefa has written them for this v. Gradients of integers as
/// in PlanesStepArgs.
struct DorefaStepArgs {
  DeviceTable<DorefaTensor> tensors;
  SgdRule rule;
  const StepInputs* inputs = nullptr;
  const float* d_weights = nullptr;
  const DorefaPeak* peaks = nullptr;
  float* v = nullptr;
  float* momentum = nullptr;
  void* scratch = nullptr;
};

}  // namespace bsq
