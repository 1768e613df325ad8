// The oracle, last part: weights from bit planes and from fixed point, and the steps that train them.
// Definitions: METHOD 1 to 3 and 5; contracts: backend.h. Everything in here is float32 in memory, double in
// between.
#include "kernels/reference.h"

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

/// q = sign(v) round(|v| (2^n - 1)) / (2^n - 1), v = clamp(u, -1, 1). Half-to-even is symmetric, so v may keep its
/// sign.
double quantized(double u, int bits) {
  return std::nearbyint(std::clamp(u, -1.0, 1.0) * levels_of(bits)) / levels_of(bits);
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
  const auto& [tensors, planes, scales, weights, plane_norms, inputs, metrics, scratch] = args;
  double penalty = 0;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const PlaneTensor& tensor = tensors.device[t];
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      weights[tensor.weight_offset + i] =
          static_cast<float>(scales[t] * quantized(plane_sum(tensor, planes, i), tensor.bits));
    }
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
  if (metrics != nullptr) metrics[inputs->metrics_slot].penalty = penalty;
}

void ReferenceBackend::planes_step(const PlanesStepArgs& args) {
  const auto& [tensors, rule, alpha, inputs, d_weights, plane_norms, planes, plane_momentum, scales, scale_momentum,
               scratch] = args;
  const double learning_rate = inputs->learning_rate;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const PlaneTensor& tensor = tensors.device[t];
    const double scale = scales[t];
    double d_scale = 0;
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      const double d_weight = d_weights[tensor.weight_offset + i];
      d_scale += quantized(plane_sum(tensor, planes, i), tensor.bits) * d_weight;
      for (int b = 0; b < tensor.bits; ++b) {
        const double straight_through = plane_weight(tensor.bits, b) * scale * d_weight;
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
}

void ReferenceBackend::weights_from_fixed(const FixedForwardArgs& args) {
  const auto& [tensors, u, scales, weights] = args;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const FixedTensor& tensor = tensors.device[t];
    for (std::int64_t i = tensor.weight_offset; i < tensor.weight_offset + tensor.numel; ++i) {
      weights[i] = tensor.bits == 0 ? 0.0F : static_cast<float>(scales[t] * quantized(u[i], tensor.bits));
    }
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
    for (std::int64_t i = tensor.weight_offset; i < tensor.weight_offset + tensor.numel; ++i) {
      d_scale += quantized(u[i], tensor.bits) * d_weights[i];
      const double moved = sgd_updated(u[i], scale * d_weights[i], rule, learning_rate, u_momentum[i]);
      u[i] = static_cast<float>(std::clamp(moved, -1.0, 1.0));
    }
    scales[t] = static_cast<float>(sgd_updated(scale, d_scale, rule, learning_rate, scale_momentum[t]));
  }
}

void ReferenceBackend::sgd_step(std::int64_t numel, const SgdRule& rule, const StepInputs* inputs,
                                const float* gradient, float* parameter, float* momentum) {
  for (std::int64_t i = 0; i < numel; ++i) {
    parameter[i] = static_cast<float>(sgd_updated(parameter[i], gradient[i], rule, inputs->learning_rate, momentum[i]));
  }
}

}  // namespace bsq
