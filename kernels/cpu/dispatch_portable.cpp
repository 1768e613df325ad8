// Every other architecture: the compiler's baseline is all there is.
#include "kernels/cpu/simd/simd_kernels.h"

namespace bsq {

namespace baseline {
SimdKernels simd_kernels();
}

SimdKernels select_simd_kernels() {
  return baseline::simd_kernels();
}

}  // namespace bsq
