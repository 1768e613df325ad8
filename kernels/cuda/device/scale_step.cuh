// The SGD step of a scale, by the last block of its tensor, from the partial sums that the chunks of the tensor left.
#pragma once

#include "kernels/cuda/device/weight_chunks.cuh"

namespace bsq::cuda {

struct ScaleStep {
  SgdRule rule;
  const StepInputs* inputs = nullptr;
  const float* partials = nullptr;  // partial sums of the gradients of scales, one per chunk
  float* scales = nullptr;
  float* momentum = nullptr;

  /// All lanes of a full warp call it; the new scale is there for lane 0.
  __device__ float run(const Chunk& chunk) const {
    const auto gradient = static_cast<float>(sum_of_chunks(partials + chunk.first, chunk.count, 1));
    if (threadIdx.x % kWarp != 0) return 0;  // who reads the scale here would race with lane 0
    return move(gradient, chunk.tensor);
  }

  /// The scale at this place by its gradient: the new one.
  __device__ float move(float gradient, std::int64_t at) const {
    const float scale = scales[at];
    return scales[at] =
               sgd_moved(scale, fmaf(rule.weight_decay, scale, gradient), rule, inputs->learning_rate, momentum[at]);
  }
};

}  // namespace bsq::cuda
