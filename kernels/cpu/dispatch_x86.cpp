// x86-64: the best of three instruction sets this machine has.
#include "kernels/cpu/simd/simd_kernels.h"

namespace bsq {

namespace baseline {
SimdKernels simd_kernels();
}
namespace v3 {
SimdKernels simd_kernels();
}
namespace v4 {
SimdKernels simd_kernels();
}

SimdKernels select_simd_kernels() {
  __builtin_cpu_init();
  const bool has_v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool has_v4 = has_v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512cd");
  if (has_v4) return v4::simd_kernels();
  if (has_v3) return v3::simd_kernels();
  return baseline::simd_kernels();
}

}  // namespace bsq
