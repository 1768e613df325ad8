// Which convolutions our own kernels run, and which are left to the vendor's library.
#pragma once

#include "kernels/cuda/ops/launchers.h"
#include "kernels/cuda/vendor/dense_math.h"

#include <memory>

namespace bsq::cuda {

/// DenseMath that runs convolutions by our own kernels if they serve, and leaves all the rest to `vendor`. The choice
/// depends on geometry and pass alone, so that it is the same in every run. BSQ_CONVOLUTION=vendor in the environment
/// leaves all convolutions to the vendor, for comparisons; throws Error(usage) if it is anything but that or "own".
std::unique_ptr<DenseMath> with_own_convolutions(std::unique_ptr<DenseMath> vendor, const GridMemory& memory,
                                                 cudaStream_t stream);

}  // namespace bsq::cuda
