// The CPU backend's own loops, compiled once per instruction set and chosen when the program starts.
//
// Every function is one whole operation of kernels/backend.h (same arguments, same contract), parallel over fixed
// chunks: partial sums are combined in chunk order, so that results do not depend on the number of threads.
#pragma once

#include "kernels/operation_args.h"

#include <cstddef>

namespace bsq {

/// One instruction set's functions.
struct SimdKernels {
  const char* instruction_set = nullptr;
  std::size_t (*norm_act_scratch_bytes)(const NormActGeometry&) = nullptr;
  void (*norm_act_forward)(const NormActForwardArgs&) = nullptr;
  void (*norm_act_backward)(const NormActBackwardArgs&) = nullptr;
  std::size_t (*planes_scratch_bytes)(std::span<const PlaneTensor>) = nullptr;
  void (*weights_from_planes)(const PlanesForwardArgs&) = nullptr;
  void (*planes_step)(const PlanesStepArgs&) = nullptr;
  std::size_t (*fixed_scratch_bytes)(std::span<const FixedTensor>) = nullptr;
  void (*weights_from_fixed)(const FixedForwardArgs&) = nullptr;
  void (*fixed_step)(const FixedStepArgs&) = nullptr;
  void (*sgd_step)(std::int64_t numel, const SgdRule&, float learning_rate, const float* gradient, float* parameter,
                   float* momentum) = nullptr;
  void (*round_to_bf16)(std::int64_t numel, const float* values, void* rounded) = nullptr;
  void (*augment)(const AugmentArgs&) = nullptr;
  void (*average_pool_forward)(const PoolGeometry&, const void* input, float unit, float* output) = nullptr;
  void (*average_pool_backward)(const PoolGeometry&, const float* d_output, float unit, void* d_input) = nullptr;
  void (*accumulate)(DType, std::int64_t numel, const void* addend, void* sum) = nullptr;  // sum += addend
};

/// The best set this machine has.
SimdKernels select_simd_kernels();

}  // namespace bsq
