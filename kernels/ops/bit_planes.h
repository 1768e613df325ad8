// Weights made of bit planes, all tensors in one call (METHOD 1 to 3).
#pragma once

#include "kernels/ops/sgd.h"

namespace bsq {

/// One quantized tensor inside the arena of bit planes. Plane b of p starts at plane_offset + b * numel, plane b of n
/// at plane_offset + (bits + b) * numel; b = 0 is the most significant. The momentum arena has the same layout.
/// planes_scratch_bytes: for both operations, which keep partial sums of a fixed-order reduction in it.
struct PlaneTensor {
  std::int64_t numel = 0;
  std::int64_t plane_offset = 0;                  // floats
  std::int64_t weight_offset = 0;                 // floats, in the effective weights and in d_weight
  std::int32_t bits = 0;                          // 1..8
  WeightStorage storage = WeightStorage::values;  // integers_bf16: at the same place in bytes
  DecayedParts decay = {};
  std::int32_t first_plane = 0;  // index of plane 0 in plane_norms
  float penalty_weight = 0;      // numel * bits / P of the group penalty
};

/// weights_from_planes: weights = s q, q = sign(v) round(|v| (2^n - 1)) / (2^n - 1), v = clamp(sum_b c_b (p_b - n_b),
/// -1, 1), c_b = 2^(n-1-b) / (2^n - 1). On the way plane_norms[first_plane + b] = sqrt(1e-8 + sum(p_b^2 + n_b^2)) and
/// *penalty = sum over tensors of penalty_weight * sum_b norm_b.
/// If a tensor's storage says so, integers q (2^n - 1) are written instead, and their unit s / (2^n - 1).
/// scales: [tensors]. Reads every plane once.
struct PlanesForwardArgs {
  DeviceTable<PlaneTensor> tensors;
  const float* planes = nullptr;
  const float* scales = nullptr;
  float* weights = nullptr;
  float* weight_units = nullptr;  // [tensors]; written if weights are integers; null if none are
  float* plane_norms = nullptr;
  double* penalty = nullptr;  // [1]; may be null
  void* scratch = nullptr;
};

/// planes_step: one SGD step on every plane and scale: g = +-c_b s dW + alpha penalty_weight x / norm_b, then `rule`,
/// then clamp to [0, 2]; the scale: g = sum(q dW), never clamped. alpha, the strength of the group penalty, is
/// inputs->method[0]. If weights are integers, d_weights holds their gradient, unit dW, and the scale's gradient is 0
/// if the unit is 0. metrics[metrics_slot].penalty is that of the planes before the step; weights, units, norms and
/// *penalty become, bit for bit, what weights_from_planes makes of the planes after it. It is one pass, which reads and
/// writes planes and momentum once; planes of tensors that are stored as values are read twice.
struct PlanesStepArgs {
  DeviceTable<PlaneTensor> tensors;
  SgdRule rule;
  const StepInputs* inputs = nullptr;
  const float* d_weights = nullptr;
  float* planes = nullptr;
  float* plane_momentum = nullptr;
  float* scales = nullptr;
  float* scale_momentum = nullptr;
  float* weights = nullptr;  // these four as weights_from_planes leaves them, before the step and after
  float* weight_units = nullptr;
  float* plane_norms = nullptr;
  double* penalty = nullptr;
  StepMetrics* metrics = nullptr;  // may be null
  void* scratch = nullptr;
};

}  // namespace bsq
