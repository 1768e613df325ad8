// Weights on a grid whose step is trained, all tensors in one call (METHOD 13).
#pragma once

#include "kernels/ops/sgd.h"

namespace bsq {

/// No step is smaller: with one below 0 all weights change their signs, and it never comes back.
inline constexpr float kSmallestStep = 1e-8F;

/// One tensor of such weights: w at weight_offset of its arena, of the effective weights and of d_weights. It has a
/// step of its own, or one per row: `rows` parts of the same size, of a filter its output channels. lsq_scratch_bytes:
/// for lsq_step.
struct LsqTensor {
  std::int64_t numel = 0;
  std::int64_t weight_offset = 0;
  std::int32_t low = 0;   // the levels: low..high, of which 0 is one
  std::int32_t high = 0;  // at most 255; 0: the tensor is zero and stays zero
  float grad_scale = 0;   // g: what the gradient of the step is multiplied by
  WeightStorage storage = WeightStorage::values;
  bool decays = true;           // the weights; the step never does
  std::int32_t rows = 1;        // of one step each; they divide numel
  std::int32_t first_step = 0;  // where the steps of its rows begin
};

/// weights_from_lsq: weights = s k, k = round(clamp(w / s, low, high)); 0 if high = 0. The quotient is that of float32,
/// so that every backend finds the same level; s is that of the weight's row. Integers: k, with the unit s, if the
/// tensor has one row; the unit of several rows is for the caller to say.
struct LsqForwardArgs {
  DeviceTable<LsqTensor> tensors;
  const float* w = nullptr;
  const float* steps = nullptr;  // [rows of all tensors]
  float* weights = nullptr;
  float* weight_units = nullptr;  // [tensors]; written if weights are integers and of one row; null if none are
};

/// lsq_step: g_w = dW where low <= w / s <= high, else 0; g_s = g sum(e dW) over the row, e = k - w / s inside, k
/// outside; then `rule`, but no decay of s, which is at least kSmallestStep afterwards. Nothing moves if high = 0.
/// Gradients of integers as in PlanesStepArgs, with the step of the row. What the step finds before it moves anything
/// is added to `sensitivities`, if they are there: |sum((w - W) dW)|, added up over the rows, / numel, W = s k (METHOD
/// 13); nothing if high = 0.
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
