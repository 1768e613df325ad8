// What the oracle's bit planes, fixed-point weights and plain parameters have in common: levels, how weights are
// stored, what their gradient is, SGD. Everything in here is float32 in memory, double in between.
#pragma once

#include "kernels/ops/operations.h"
#include "kernels/reference/elements.h"

#include <algorithm>
#include <cmath>

namespace bsq::reference {

/// 2^n - 1, the largest integer level.
inline double levels_of(int bits) {
  return (1 << bits) - 1;
}

/// c_b = 2^(n-1-b) / (2^n - 1), b = 0 the most significant.
inline double plane_weight(int bits, int b) {
  return (1 << (bits - 1 - b)) / levels_of(bits);
}

/// q (2^n - 1) = sign(v) round(|v| (2^n - 1)), v = clamp(u, -1, 1). Half-to-even is symmetric, so v may keep its sign.
inline double level_of(double u, int bits) {
  return std::nearbyint(std::clamp(u, -1.0, 1.0) * levels_of(bits));
}

inline double quantized(double u, int bits) {
  return level_of(u, bits) / levels_of(bits);
}

/// Writes weight i of a tensor: s level / most, or the integer that its unit is to multiply.
template <typename Tensor>
void store_weight(const Tensor& tensor, float* weights, std::int64_t i, double scale, double level, double most) {
  if (tensor.storage != WeightStorage::values) {
    const DType dtype = tensor.storage == WeightStorage::integers_bf16 ? DType::bf16 : DType::f32;
    store(dtype, weights + tensor.weight_offset, i, level);
  } else {
    weights[tensor.weight_offset + i] = level == 0 ? 0.0F : static_cast<float>(scale * (level / most));
  }
}

/// dW of weight i from the gradient of what is stored.
template <typename Tensor>
double true_gradient(const Tensor& tensor, const float* d_weights, std::int64_t i, double scale) {
  const double stored = d_weights[tensor.weight_offset + i];
  if (tensor.storage == WeightStorage::values) return stored;
  return scale == 0 ? 0 : stored * levels_of(tensor.bits) / scale;
}

/// s dW, which needs no division by s if the gradient is that of integers.
template <typename Tensor>
double scaled_gradient(const Tensor& tensor, const float* d_weights, std::int64_t i, double scale) {
  const double stored = d_weights[tensor.weight_offset + i];
  return tensor.storage == WeightStorage::values ? stored * scale : stored * levels_of(tensor.bits);
}

/// x after the step of the rule; writes its momentum.
inline double sgd_updated(double x, double gradient, const SgdRule& rule, double learning_rate, float& momentum) {
  const double velocity = double{rule.momentum} * momentum + gradient + double{rule.weight_decay} * x;
  momentum = static_cast<float>(velocity);
  if (!rule.nesterov) return x - learning_rate * velocity;
  return x - learning_rate * (gradient + double{rule.weight_decay} * x + double{rule.momentum} * velocity);
}

}  // namespace bsq::reference
