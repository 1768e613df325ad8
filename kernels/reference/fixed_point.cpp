// The oracle: fixed-point weights, and the step that trains them. Definitions: METHOD 5; contracts:
// kernels/ops/fixed_point.h.
#include "kernels/reference/reference_backend.h"
#include "kernels/reference/weights.h"

#include <algorithm>

namespace bsq {
namespace {

using reference::level_of;
using reference::levels_of;
using reference::quantized;
using reference::scaled_gradient;
using reference::sgd_updated;
using reference::store_weight;
using reference::true_gradient;

}  // namespace

std::size_t ReferenceBackend::fixed_scratch_bytes(const DeviceTable<FixedTensor>& /*of*/) {
  return 0;
}

void ReferenceBackend::weights_from_fixed(const FixedForwardArgs& args) {
  const auto& [tensors, u, scales, weights, weight_units] = args;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const FixedTensor& tensor = tensors.device[t];
    const int bits = std::max(tensor.bits, 1);
    for (std::int64_t i = 0; i < tensor.numel; ++i)
      store_weight(tensor, weights, i, scales[t],
                   tensor.bits == 0 ? 0.0 : level_of(u[tensor.weight_offset + i], tensor.bits), levels_of(bits));
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
    const SgdRule weight_rule = rule_for(rule, tensor.decay.weights);
    double d_scale = 0;
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      float& value = u[tensor.weight_offset + i];
      d_scale += quantized(value, tensor.bits) * true_gradient(tensor, d_weights, i, scale);
      const double moved = sgd_updated(value, scaled_gradient(tensor, d_weights, i, scale), weight_rule, learning_rate,
                                       u_momentum[tensor.weight_offset + i]);
      value = static_cast<float>(std::clamp(moved, -1.0, 1.0));
    }
    scales[t] = static_cast<float>(
        sgd_updated(scale, d_scale, rule_for(rule, tensor.decay.scale), learning_rate, scale_momentum[t]));
  }
}

}  // namespace bsq
