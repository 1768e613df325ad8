// The SGD step of the scales, from the partial sums that the chunks of each tensor have left.
#pragma once

#include "kernels/cuda/weight_chunks.cuh"

namespace bsq::cuda {

struct ScaleStep {
  SgdRule rule;
  const StepInputs* inputs = nullptr;
  const float* partials = nullptr;  // of the scales' gradients, one a chunk
  float* scales = nullptr;
  float* momentum = nullptr;
};

constexpr int kScaleThreads = 256;

// grid 1, block kScaleThreads, one warp per tensor at a time
template <typename Tensor>
__global__ void step_scales_kernel(const Tensor* tensors, int num_tensors, ScaleStep step) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  for (int t = 0; t < num_tensors; ++t) {
    const std::int64_t chunks = chunks_of(tensors[t].numel);
    if (t % (kScaleThreads / kWarp) == warp && tensors[t].bits > 0) {
      const auto gradient = static_cast<float>(sum_of_chunks(step.partials, chunks, 1));
      if (threadIdx.x % kWarp == 0) {
        const float scale = step.scales[t];
        step.scales[t] = sgd_moved(scale, fmaf(step.rule.weight_decay, scale, gradient), step.rule.momentum,
                                   step.inputs->learning_rate, step.momentum[t]);
      }
    }
    step.partials += chunks;
  }
}

template <typename Tensor>
void step_scales(const DeviceTable<Tensor>& tensors, const ScaleStep& step, cudaStream_t stream) {
  launch(step_scales_kernel<Tensor>, dim3(1), dim3(kScaleThreads), 0, stream, tensors.device,
         static_cast<int>(tensors.host.size()), step);
}

}  // namespace bsq::cuda
