// Which convolutions our own kernels run, and which are left to the vendor's library.
#pragma once

#include "kernels/cuda/vendor/dense_math.h"

#include <memory>

namespace bsq::cuda {

/// DenseMath whose convolutions our own kernels run where they serve; all the rest is `vendor`'s. The choice depends on
/// nothing but geometry and pass, so that it is the same in every run. BSQ_CONVOLUTION=vendor in the environment leaves
/// all to the vendor, to compare; throws Error(usage) if it is anything but that or "own".
std::unique_ptr<DenseMath> with_own_convolutions(std::unique_ptr<DenseMath> vendor, cudaStream_t stream,
                                                 int multiprocessors);

}  // namespace bsq::cuda
