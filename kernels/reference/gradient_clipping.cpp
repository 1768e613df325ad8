// The oracle: gradient clipping. Contract: kernels/ops/gradient_clipping.h.
#include "kernels/reference/reference_backend.h"

#include <cmath>

namespace bsq {

std::size_t ReferenceBackend::clip_scratch_bytes(const DeviceTable<GradientTensor>& /*of*/) {
  return 0;
}

void ReferenceBackend::clip_gradients(const ClipGradientsArgs& args) {
  const auto& [tensors, max_norm, gradients, scratch] = args;
  double squares = 0;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const GradientTensor& tensor = tensors.device[t];
    const double unit = tensor.unit == nullptr ? 1 : *tensor.unit;
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      const double stored = gradients[tensor.weight_offset + i];
      squares += unit == 0 ? stored * 0 : (stored / unit) * (stored / unit);  // a NaN stays one
    }
  }
  const double factor = max_norm / (std::sqrt(squares) + kNormMargin);
  if (factor >= 1) return;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const GradientTensor& tensor = tensors.device[t];
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      float& gradient = gradients[tensor.weight_offset + i];
      gradient = static_cast<float>(gradient * factor);
    }
  }
}

}  // namespace bsq
