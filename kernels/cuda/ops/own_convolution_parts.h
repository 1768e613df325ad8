// Kernels of our own convolutions that lie in files of their own, and are called by own_convolution.cu.
#pragma once

#include "kernels/cuda/ops/launchers.h"
#include "kernels/ops/convolution.h"

#include <cuda_runtime_api.h>

#include <cstddef>

namespace bsq::cuda {

/// The gradient of the input for a stride of 2 and filters of 3x3 or 1x1 (own_convolution_strided.cu).
void run_backward_strided(const ConvBackwardDataArgs& args, const GridMemory& memory, cudaStream_t stream);
std::size_t strided_scratch_bytes(const ConvGeometry& geometry);

/// The output of a network's first convolution: 3 channels, 3x3 filters, stride 1 (own_stem.cu).
void run_stem(const ConvForwardArgs& args, const GridMemory& memory, cudaStream_t stream);
std::size_t stem_scratch_bytes(const ConvGeometry& geometry);

}  // namespace bsq::cuda
