// The table of one instruction set's functions.
#include "kernels/cpu/simd/variant.h"

#define BSQ_STRINGIFY_(x) #x
#define BSQ_STRINGIFY(x) BSQ_STRINGIFY_(x)

namespace bsq::BSQ_SIMD_NAMESPACE {

SimdKernels simd_kernels() {
  return {
      .instruction_set = BSQ_STRINGIFY(BSQ_SIMD_NAMESPACE),
#define BSQ_OPERATION(name, Args) .name = name,
#define BSQ_SCRATCH(name, Of) .name = name,
#include "kernels/cpu/simd/operations.def"
      .accumulate = accumulate,
  };
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
