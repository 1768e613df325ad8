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
    const float* of_tensor = steps + tensor.first_step;
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      const float step = of_tensor[i / (tensor.numel / tensor.rows)];
      const double level = tensor.high == 0 ? 0 : Placed(tensor, w[tensor.weight_offset + i], step).level;
      store_weight(tensor, weights, i, step, level, 1);
    }
    if (tensor.storage != WeightStorage::values && tensor.rows == 1) weight_units[t] = of_tensor[0];
  }
}

void ReferenceBackend::lsq_step(const LsqStepArgs& args) {
  const auto& [tensors, rule, inputs, d_weights, w, w_momentum, steps, step_momentum, scratch, sensitivities] = args;
  const double learning_rate = inputs->learning_rate;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const LsqTensor& tensor = tensors.device[t];
    if (tensor.high == 0) continue;
    const SgdRule weight_rule = rule_for(rule, tensor.decays);
    double roundings = 0;
    for (std::int64_t row = 0; row < tensor.rows; ++row) {
      const std::int64_t row_numel = tensor.numel / tensor.rows, begin = tensor.weight_offset + row * row_numel;
      float& step = steps[tensor.first_step + row];
      double d_step = 0, rounding = 0;
      for (std::int64_t i = begin; i < begin + row_numel; ++i) {
        const Placed placed(tensor, w[i], step);
        const double gradient = tensor.storage == WeightStorage::values ? d_weights[i] : double{d_weights[i]} / step;
        d_step += (placed.level - (placed.inside ? placed.quotient : 0)) * gradient;
        rounding += (double{w[i]} - double{step} * placed.level) * gradient;
        w[i] = static_cast<float>(
            sgd_updated(w[i], placed.inside ? gradient : 0, weight_rule, learning_rate, w_momentum[i]));
      }
      roundings += std::abs(rounding);
      const double moved = sgd_updated(step, tensor.grad_scale * d_step, rule_for(rule, false), learning_rate,
                                       step_momentum[tensor.first_step + row]);
      step = std::max(static_cast<float>(moved), kSmallestStep);
    }
    if (sensitivities != nullptr) sensitivities[t] += static_cast<float>(roundings / static_cast<double>(tensor.numel));
  }
}

}  // namespace bsq
