// The table of one instruction set's functions.
#include "kernels/cpu/simd/variant.h"

#define BSQ_STRINGIFY_(x) #x
#define BSQ_STRINGIFY(x) BSQ_STRINGIFY_(x)

namespace bsq::BSQ_SIMD_NAMESPACE {

SimdKernels simd_kernels() {
  return {
      .instruction_set = BSQ_STRINGIFY(BSQ_SIMD_NAMESPACE),
      .norm_act_scratch_bytes = norm_act_scratch_bytes,
      .norm_act_forward = norm_act_forward,
      .norm_act_backward = norm_act_backward,
      .planes_scratch_bytes = planes_scratch_bytes,
      .weights_from_planes = weights_from_planes,
      .planes_step = planes_step,
      .fixed_scratch_bytes = fixed_scratch_bytes,
      .weights_from_fixed = weights_from_fixed,
      .fixed_step = fixed_step,
      .sgd_step = sgd_step,
      .round_to_bf16 = round_to_bf16,
      .augment = augment,
      .average_pool_forward = average_pool_forward,
      .average_pool_backward = average_pool_backward,
      .accumulate = accumulate,
  };
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
