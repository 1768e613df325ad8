// The oracle, last part: weights from bit planes and from fixed point, and the steps that train them.
// Definitions: METHOD 1 to 3 and 5; contracts: backend.h. Everything in here is float32 in memory, double in
// between.
#include "kernels/reference/reference_backend.h"

#include "kernels/reference/elements.h"
#include "kernels/weight_counts.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

/// 2^n - 1, the largest integer level.
double levels_of(int bits) {
  return (1 << bits) - 1;
}

/// c_b = 2^(n-1-b) / (2^n - 1), b = 0 the most significant.
double plane_weight(int bits, int b) {
  return (1 << (bits - 1 - b)) / levels_of(bits);
}

/// q (2^n - 1) = sign(v) round(|v| (2^n - 1)), v = clamp(u, -1, 1). Half-to-even is symmetric, so v may keep its sign.
double level_of(double u, int bits) {
  return std::nearbyint(std::clamp(u, -1.0, 1.0) * levels_of(bits));
}

double quantized(double u, int bits) {
  return level_of(u, bits) / levels_of(bits);
}

/// Writes weight i of a tensor: s q, or the integer that its unit is to multiply.
template <typename Tensor>
void store_weight(const Tensor& tensor, float* weights, std::int64_t i, double scale, double level) {
  if (tensor.storage != WeightStorage::values) {
    const DType dtype = tensor.storage == WeightStorage::integers_bf16 ? DType::bf16 : DType::f32;
    reference::store(dtype, weights + tensor.weight_offset, i, level);
  } else {
    weights[tensor.weight_offset + i] =
        level == 0 ? 0.0F : static_cast<float>(scale * (level / levels_of(tensor.bits)));
  }
}

/// dW of weight i from the gradient of what is stored.
template <typename Tensor>
double true_gradient(const Tensor& tensor, const float* d_weights, std::int64_t i, double scale) {
  const double stored = d_weights[tensor.weight_offset + i];
  if (tensor.storage == WeightStorage::values) return stored;
  return scale == 0 ? 0 : stored * levels_of(tensor.bits) / scale;
}

/// s dW, which needs no division by s where the gradient is that of integers.
template <typename Tensor>
double scaled_gradient(const Tensor& tensor, const float* d_weights, std::int64_t i, double scale) {
  const double stored = d_weights[tensor.weight_offset + i];
  return tensor.storage == WeightStorage::values ? stored * scale : stored * levels_of(tensor.bits);
}

/// PyTorch's SGD: v = momentum v + g + weight_decay x; x -= learning_rate v.
double sgd_updated(double x, double gradient, const SgdRule& rule, double learning_rate, float& momentum) {
  const double velocity = double{rule.momentum} * momentum + gradient + double{rule.weight_decay} * x;
  momentum = static_cast<float>(velocity);
  return x - learning_rate * velocity;
}

/// The arena, seen from one tensor.
std::int64_t p_index(const PlaneTensor& tensor, int b, std::int64_t i) {
  return tensor.plane_offset + b * tensor.numel + i;
}
std::int64_t n_index(const PlaneTensor& tensor, int b, std::int64_t i) {
  return p_index(tensor, tensor.bits + b, i);
}

/// u = sum over b of c_b (p_b - n_b).
double plane_sum(const PlaneTensor& tensor, const float* planes, std::int64_t i) {
  double u = 0;
  for (int b = 0; b < tensor.bits; ++b) {
    u += plane_weight(tensor.bits, b) * (double{planes[p_index(tensor, b, i)]} - planes[n_index(tensor, b, i)]);
  }
  return u;
}

}  // namespace

void ReferenceBackend::weights_from_planes(const PlanesForwardArgs& args) {
  const auto& [tensors, planes, scales, weights, weight_units, plane_norms, penalty_of_all, scratch] = args;
  double penalty = 0;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const PlaneTensor& tensor = tensors.device[t];
    for (std::int64_t i = 0; i < tensor.numel; ++i)
      store_weight(tensor, weights, i, scales[t], level_of(plane_sum(tensor, planes, i), tensor.bits));
    if (tensor.storage != WeightStorage::values)
      weight_units[t] = static_cast<float>(scales[t] / levels_of(tensor.bits));
    for (int b = 0; b < tensor.bits; ++b) {
      double square_sum = 0;
      for (std::int64_t i = 0; i < tensor.numel; ++i) {
        const double p = planes[p_index(tensor, b, i)];
        const double n = planes[n_index(tensor, b, i)];
        square_sum += p * p + n * n;
      }
      const double norm = std::sqrt(1e-8 + square_sum);
      plane_norms[tensor.first_plane + b] = static_cast<float>(norm);
      penalty += tensor.penalty_weight * norm;
    }
  }
  if (penalty_of_all != nullptr) *penalty_of_all = penalty;
}

void ReferenceBackend::planes_step(const PlanesStepArgs& args) {
  const auto& [tensors, rule, alpha, inputs, d_weights, planes, plane_momentum, scales, scale_momentum, weights,
               weight_units, plane_norms, penalty, metrics, scratch] = args;
  if (metrics != nullptr) metrics[inputs->metrics_slot].penalty = *penalty;
  const double learning_rate = inputs->learning_rate;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const PlaneTensor& tensor = tensors.device[t];
    const double scale = scales[t];
    double d_scale = 0;
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      d_scale += quantized(plane_sum(tensor, planes, i), tensor.bits) * true_gradient(tensor, d_weights, i, scale);
      for (int b = 0; b < tensor.bits; ++b) {
        const double straight_through = plane_weight(tensor.bits, b) * scaled_gradient(tensor, d_weights, i, scale);
        const double shrink = double{alpha} * tensor.penalty_weight / plane_norms[tensor.first_plane + b];
        const auto step = [&](std::int64_t index, double data_gradient) {
          const double x = planes[index];
          const double moved = sgd_updated(x, data_gradient + shrink * x, rule, learning_rate, plane_momentum[index]);
          planes[index] = static_cast<float>(std::clamp(moved, 0.0, 2.0));
        };
        step(p_index(tensor, b, i), straight_through);
        step(n_index(tensor, b, i), -straight_through);
      }
    }
    scales[t] = static_cast<float>(sgd_updated(scale, d_scale, rule, learning_rate, scale_momentum[t]));
  }
  weights_from_planes({tensors, planes, scales, weights, weight_units, plane_norms, penalty, scratch});
}

void ReferenceBackend::weights_from_fixed(const FixedForwardArgs& args) {
  const auto& [tensors, u, scales, weights, weight_units] = args;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const FixedTensor& tensor = tensors.device[t];
    const int bits = std::max(tensor.bits, 1);
    for (std::int64_t i = 0; i < tensor.numel; ++i)
      store_weight(tensor, weights, i, scales[t],
                   tensor.bits == 0 ? 0.0 : level_of(u[tensor.weight_offset + i], tensor.bits));
    if (tensor.storage != WeightStorage::values) weight_units[t] = static_cast<float>(scales[t] / levels_of(bits));
  }
}

void ReferenceBackend::fixed_step(const FixedStepArgs& args) {
  const auto& [tensors, rule, inputs, d_weights, u, u_momentum, scales, scale_momentum, scratch] = args;
  const double learning_rate = inputs->learning_rate;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const FixedTensor& tensor = tensors.device[t];
    if (tensor.bits == 0) continue;
    const double scale = scales[t];
    double d_scale = 0;
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      float& value = u[tensor.weight_offset + i];
      d_scale += quantized(value, tensor.bits) * true_gradient(tensor, d_weights, i, scale);
      const double moved = sgd_updated(value, scaled_gradient(tensor, d_weights, i, scale), rule, learning_rate,
                                       u_momentum[tensor.weight_offset + i]);
      value = static_cast<float>(std::clamp(moved, -1.0, 1.0));
    }
    scales[t] = static_cast<float>(sgd_updated(scale, d_scale, rule, learning_rate, scale_momentum[t]));
  }
}

void ReferenceBackend::count_planes(const PlaneCountArgs& args) {
  for (std::size_t t = 0; t < args.tensors.host.size(); ++t)
    args.counts[t] = count_weights(args.tensors.device[t], args.planes, args.scales[t]);
}

void ReferenceBackend::count_fixed(const FixedCountArgs& args) {
  for (std::size_t t = 0; t < args.tensors.host.size(); ++t)
    args.counts[t] = count_weights(args.tensors.device[t], args.u, args.scales[t]);
}

void ReferenceBackend::round_to_bf16(std::int64_t numel, const float* values, void* rounded) {
  for (std::int64_t i = 0; i < numel; ++i) reference::store(DType::bf16, rounded, i, values[i]);
}

void ReferenceBackend::sgd_step(std::int64_t numel, const SgdRule& rule, const StepInputs* inputs,
                                const float* gradient, float* parameter, float* momentum) {
  for (std::int64_t i = 0; i < numel; ++i) {
    parameter[i] = static_cast<float>(sgd_updated(parameter[i], gradient[i], rule, inputs->learning_rate, momentum[i]));
  }
}

}  // namespace bsq
