// The launchers of the CUDA kernels, one an operation of kernels/backend.h, whose contracts hold here. Each enqueues on
// `stream` and returns; all pointers are device memory. A launch that is refused throws Error(device).
#pragma once

#include "kernels/types.h"

#include <cuda_runtime_api.h>

#include <cstdint>

namespace bsq::cuda {

// ---- plain parameters (sgd_step.cu) ---------------------------------------------------------------------------------
void sgd_step(std::int64_t numel, const SgdRule& rule, const StepInputs* inputs, const float* gradient,
              float* parameter, float* momentum, cudaStream_t stream);

}  // namespace bsq::cuda
