// The oracle: weights on DoReFa's grid. Definitions: METHOD 19; contracts: kernels/ops/dorefa.h.
#include "kernels/dorefa_tanh.h"
#include "kernels/reference/reference_backend.h"
#include "kernels/reference/weights.h"

namespace bsq {
namespace {

using reference::levels_of;
using reference::sgd_updated;
using reference::store_weight;

/// T, or 1 where all weights are 0.
float divisor(const DorefaPeak& peak) {
  return peak.height > 0 ? peak.height : 1.0F;
}

}  // namespace

std::size_t ReferenceBackend::dorefa_scratch_bytes(const DeviceTable<DorefaTensor>& /*of*/) {
  return 0;
}

void ReferenceBackend::weights_from_dorefa(const DorefaForwardArgs& args) {
  for (std::size_t t = 0; t < args.tensors.host.size(); ++t) {
    const DorefaTensor& tensor = args.tensors.device[t];
    const float* v = args.v + tensor.weight_offset;
    DorefaPeak peak;
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      const float height = std::abs(dorefa_tanh(v[i]));
      if (height > peak.height) peak = {height, static_cast<std::int32_t>(i)};
    }
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      const float ratio = dorefa_tanh(v[i]) / divisor(peak);
      const double level = std::isnan(ratio) ? std::nan("") : dorefa_level(ratio, tensor.bits);
      store_weight(tensor, args.weights, i, tensor.scale, level, levels_of(tensor.bits));
    }
    if (tensor.storage != WeightStorage::values)
      args.weight_units[t] = static_cast<float>(double{tensor.scale} / levels_of(tensor.bits));
    args.peaks[t] = peak;
  }
}

void ReferenceBackend::dorefa_step(const DorefaStepArgs& args) {
  const double learning_rate = args.inputs->learning_rate;
  for (std::size_t t = 0; t < args.tensors.host.size(); ++t) {
    const DorefaTensor& tensor = args.tensors.device[t];
    const DorefaPeak& peak = args.peaks[t];
    const SgdRule rule = rule_for(args.rule, tensor.decays);
    const double height = divisor(peak);
    const auto scaled = [&](std::int64_t i) {
      return reference::scaled_gradient(tensor, args.d_weights, i, tensor.scale);
    };
    float* v = args.v + tensor.weight_offset;
    double sum = 0;
    for (std::int64_t i = 0; i < tensor.numel; ++i) sum += scaled(i) * dorefa_tanh(v[i]);
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      const double h = dorefa_tanh(v[i]);
      const double of_peak = i == peak.index && peak.height > 0 ? (h < 0 ? -sum : sum) / height : 0;
      const double gradient = (scaled(i) - of_peak) / height * (1 - h * h);
      v[i] =
          static_cast<float>(sgd_updated(v[i], gradient, rule, learning_rate, args.momentum[tensor.weight_offset + i]));
    }
  }
}

}  // namespace bsq
