// The oracle: moving averages. Contract: kernels/ops/moving_average.h.
#include "kernels/reference/reference_backend.h"

namespace bsq {

void ReferenceBackend::update_average(const UpdateAverageArgs& args) {
  const auto& [tensors, weight, averages] = args;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const AveragedTensor& tensor = tensors.device[t];
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      float& average = averages[tensor.weight_offset + i];
      average = static_cast<float>(double{average} + double{weight} * (double{tensor.values[i]} - double{average}));
    }
  }
}

}  // namespace bsq
