// The oracle: weights whose last bit a penalty empties. Definitions: METHOD 20; contracts: kernels/ops/msq.h.
#include "kernels/reference/reference_backend.h"
#include "kernels/reference/weights.h"

#include <algorithm>

namespace bsq {
namespace {

using reference::levels_of;
using reference::sgd_updated;
using reference::store_weight;

/// k of n bits; 0 of none.
double halved_level(float u, int bits) {
  const double most = levels_of(bits);
  return std::clamp(std::nearbyint(std::ldexp(double{u}, bits)), -most, most);
}

double sign_of(double number) {
  return number > 0 ? 1 : number < 0 ? -1 : 0;
}

}  // namespace

std::size_t ReferenceBackend::msq_scratch_bytes(const DeviceTable<MsqTensor>& /*of*/) {
  return 0;
}

void ReferenceBackend::weights_from_msq(const MsqForwardArgs& args) {
  for (std::size_t t = 0; t < args.tensors.host.size(); ++t) {
    const MsqTensor& tensor = args.tensors.device[t];
    const double parts = std::ldexp(1.0, tensor.bits);
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      const double level = tensor.bits == 0 ? 0 : halved_level(args.u[tensor.weight_offset + i], tensor.bits);
      store_weight(tensor, args.weights, i, args.scales[t], level, parts);
    }
    if (tensor.storage != WeightStorage::values)
      args.weight_units[t] = static_cast<float>(double{args.scales[t]} / parts);
  }
}

void ReferenceBackend::msq_step(const MsqStepArgs& args) {
  const double learning_rate = args.inputs->learning_rate;
  for (std::size_t t = 0; t < args.tensors.host.size(); ++t) {
    const MsqTensor& tensor = args.tensors.device[t];
    if (tensor.bits == 0) continue;
    const double scale = args.scales[t], parts = std::ldexp(1.0, tensor.bits);
    const double to_true = tensor.storage == WeightStorage::values ? 1 : parts / scale;
    const double pull = double{args.inputs->method[0]} * tensor.pull;
    const SgdRule weight_rule = rule_for(args.rule, tensor.decay.weights);
    double d_scale = 0;
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      float& u = args.u[tensor.weight_offset + i];
      const double gradient = to_true * args.d_weights[tensor.weight_offset + i];
      const double level = halved_level(u, tensor.bits);
      d_scale += level / parts * gradient;
      const double of_penalty = pull * sign_of(level - 2 * halved_level(u, tensor.bits - 1));
      const double moved = sgd_updated(u, scale * gradient + of_penalty, weight_rule, learning_rate,
                                       args.u_momentum[tensor.weight_offset + i]);
      u = static_cast<float>(std::clamp(moved, -1.0, 1.0));
    }
    const double moved =
        sgd_updated(scale, d_scale, rule_for(args.rule, tensor.decay.scale), learning_rate, args.scale_momentum[t]);
    args.scales[t] = std::max(static_cast<float>(moved), kSmallestMsqScale);
  }
}

}  // namespace bsq
