// The oracle: weights on a grid whose step is trained. Definitions: METHOD 13; contracts: kernels/ops/lsq.h.
#include "kernels/reference/reference_backend.h"
#include "kernels/reference/weights.h"

#include <algorithm>

namespace bsq {
namespace {

using reference::sgd_updated;
using reference::store_weight;

/// A weight on its grid, before and after rounding.
struct Placed {
  float quotient = 0;  // w / s
  double level = 0;
  bool inside = false;

  Placed(const LsqTensor& tensor, float w, float step)
      : quotient(w / step),
        level(std::nearbyint(std::clamp(double{quotient}, double(tensor.low), double(tensor.high)))),
        inside(double(tensor.low) <= quotient && quotient <= double(tensor.high)) {}
};

}  // namespace

std::size_t ReferenceBackend::lsq_scratch_bytes(const DeviceTable<LsqTensor>& /*of*/) {
  return 0;
}

void ReferenceBackend::weights_from_lsq(const LsqForwardArgs& args) {
  const auto& [tensors, w, steps, weights, weight_units] = args;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const LsqTensor& tensor = tensors.device[t];
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      const double level = tensor.high == 0 ? 0 : Placed(tensor, w[tensor.weight_offset + i], steps[t]).level;
      store_weight(tensor, weights, i, steps[t], level, 1);
    }
    if (tensor.storage != WeightStorage::values) weight_units[t] = steps[t];
  }
}

void ReferenceBackend::lsq_step(const LsqStepArgs& args) {
  const auto& [tensors, rule, inputs, d_weights, w, w_momentum, steps, step_momentum, scratch, sensitivities] = args;
  const double learning_rate = inputs->learning_rate;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const LsqTensor& tensor = tensors.device[t];
    if (tensor.high == 0) continue;
    const SgdRule weight_rule = rule_for(rule, tensor.decays);
    double d_step = 0, rounding = 0;
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      float& value = w[tensor.weight_offset + i];
      const Placed placed(tensor, value, steps[t]);
      const double stored = d_weights[tensor.weight_offset + i];
      const double gradient = tensor.storage == WeightStorage::values ? stored : stored / steps[t];
      d_step += (placed.level - (placed.inside ? placed.quotient : 0)) * gradient;
      rounding += (double{value} - double{steps[t]} * placed.level) * gradient;
      value = static_cast<float>(sgd_updated(value, placed.inside ? gradient : 0, weight_rule, learning_rate,
                                             w_momentum[tensor.weight_offset + i]));
    }
    if (sensitivities != nullptr)
      sensitivities[t] += static_cast<float>(std::abs(rounding) / static_cast<double>(tensor.numel));
    const double moved =
        sgd_updated(steps[t], tensor.grad_scale * d_step, rule_for(rule, false), learning_rate, step_momentum[t]);
    steps[t] = std::max(static_cast<float>(moved), kSmallestStep);
  }
}

}  // namespace bsq
