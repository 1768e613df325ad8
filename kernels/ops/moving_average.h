// Exponential moving averages of numbers that training moves, all tensors in one call (METHOD 18).
#pragma once

#include "kernels/types.h"

namespace bsq {

/// One run of numbers, and where its average lies in the arena of averages.
struct AveragedTensor {
  std::int64_t numel = 0;
  std::int64_t weight_offset = 0;  // floats, in the arena of averages
  const float* values = nullptr;   // in device memory
};

/// update_average: average += weight (value - average), as PyTorch's lerp_ of AveragedModel; weight = 1 - decay. What
/// lies between tensors is not touched.
struct UpdateAverageArgs {
  DeviceTable<AveragedTensor> tensors;
  float weight = 0;
  float* averages = nullptr;
};

}  // namespace bsq
