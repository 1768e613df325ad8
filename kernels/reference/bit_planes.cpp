// The oracle: weights from bit planes, and the step that trains them. Definitions: METHOD 1 to 3; contracts:
// kernels/ops/bit_planes.h.
#include "kernels/reference/reference_backend.h"
#include "kernels/reference/weights.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

using reference::level_of;
using reference::levels_of;
using reference::plane_weight;
using reference::quantized;
using reference::scaled_gradient;
using reference::sgd_updated;
using reference::store_weight;
using reference::true_gradient;

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

std::size_t ReferenceBackend::planes_scratch_bytes(const DeviceTable<PlaneTensor>& /*of*/) {
  return 0;
}

void ReferenceBackend::weights_from_planes(const PlanesForwardArgs& args) {
  const auto& [tensors, planes, scales, weights, weight_units, plane_norms, penalty_of_all, scratch] = args;
  double penalty = 0;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const PlaneTensor& tensor = tensors.device[t];
    for (std::int64_t i = 0; i < tensor.numel; ++i)
      store_weight(tensor, weights, i, scales[t], level_of(plane_sum(tensor, planes, i), tensor.bits),
                   levels_of(tensor.bits));
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
  const auto& [tensors, rule, inputs, d_weights, planes, plane_momentum, scales, scale_momentum, weights, weight_units,
               plane_norms, penalty, metrics, scratch] = args;
  if (metrics != nullptr) metrics[inputs->metrics_slot].penalty = *penalty;
  const double learning_rate = inputs->learning_rate;
  const double alpha = inputs->method[0];
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const PlaneTensor& tensor = tensors.device[t];
    const double scale = scales[t];
    const SgdRule weight_rule = rule_for(rule, tensor.decay.weights);
    double d_scale = 0;
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      d_scale += quantized(plane_sum(tensor, planes, i), tensor.bits) * true_gradient(tensor, d_weights, i, scale);
      for (int b = 0; b < tensor.bits; ++b) {
        const double straight_through = plane_weight(tensor.bits, b) * scaled_gradient(tensor, d_weights, i, scale);
        const double shrink = alpha * tensor.penalty_weight / plane_norms[tensor.first_plane + b];
        const auto step = [&](std::int64_t index, double data_gradient) {
          float& plane = args.planes[index];
          const double gradient = data_gradient + shrink * plane;
          const double moved = sgd_updated(plane, gradient, weight_rule, learning_rate, args.plane_momentum[index]);
          plane = static_cast<float>(std::clamp(moved, 0.0, 2.0));
        };
        step(p_index(tensor, b, i), straight_through);
        step(n_index(tensor, b, i), -straight_through);
      }
    }
    scales[t] = static_cast<float>(
        sgd_updated(scale, d_scale, rule_for(rule, tensor.decay.scale), learning_rate, scale_momentum[t]));
  }
  weights_from_planes({tensors, planes, scales, weights, weight_units, plane_norms, penalty, scratch});
}

}  // namespace bsq
