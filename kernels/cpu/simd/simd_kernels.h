// The CPU backend's own loops, compiled once per instruction set and chosen when the program starts.
//
// Every function is one whole operation of kernels/backend.h (same arguments, same contract), parallel over fixed
// chunks: partial sums are combined in chunk order, so that results do not depend on the number of threads.
#pragma once

#include "kernels/types.h"

#include <cstddef>

namespace bsq {

struct NormActForwardArgs {
  NormActGeometry geometry;
  NormActRule rule;
  const void* x = nullptr;
  const void* shortcut = nullptr;
  NormParameters parameters;
  NormSaved saved;
  void* y = nullptr;
  void* scratch = nullptr;
};

struct NormActBackwardArgs {
  NormActGeometry geometry;
  NormActRule rule;
  const void* d_y = nullptr;
  const void* x = nullptr;
  const void* shortcut = nullptr;
  NormParameters parameters;
  NormSaved saved;
  void* d_x = nullptr;
  void* d_shortcut = nullptr;
  GradMode shortcut_mode = GradMode::overwrite;
  NormGradients gradients;
  void* scratch = nullptr;
};

struct PlanesForwardArgs {
  std::span<const PlaneTensor> tensors;
  const float* planes = nullptr;
  const float* scales = nullptr;
  float* weights = nullptr;
  float* plane_norms = nullptr;
  double* penalty = nullptr;  // may be null
  void* scratch = nullptr;
};

struct PlanesStepArgs {
  std::span<const PlaneTensor> tensors;
  SgdRule rule;
  float alpha = 0;
  float learning_rate = 0;
  const float* d_weights = nullptr;
  const float* plane_norms = nullptr;
  float* planes = nullptr;
  float* plane_momentum = nullptr;
  float* scales = nullptr;
  float* scale_momentum = nullptr;
  void* scratch = nullptr;
};

struct FixedStepArgs {
  std::span<const FixedTensor> tensors;
  SgdRule rule;
  float learning_rate = 0;
  const float* d_weights = nullptr;
  float* u = nullptr;
  float* u_momentum = nullptr;
  float* scales = nullptr;
  float* scale_momentum = nullptr;
  void* scratch = nullptr;
};

struct AugmentArgs {
  AugmentRule rule;
  SampleSource source;
  StepInputs inputs;
  int batch = 0;
  TensorView output;
  std::int32_t* labels = nullptr;
};

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
  void (*weights_from_fixed)(std::span<const FixedTensor>, const float* u, const float* scales,
                             float* weights) = nullptr;
  void (*fixed_step)(const FixedStepArgs&) = nullptr;
  void (*sgd_step)(std::int64_t numel, const SgdRule&, float learning_rate, const float* gradient, float* parameter,
                   float* momentum) = nullptr;
  void (*augment)(const AugmentArgs&) = nullptr;
  void (*average_pool_forward)(const PoolGeometry&, const void* input, float* output) = nullptr;
  void (*average_pool_backward)(const PoolGeometry&, const float* d_output, void* d_input) = nullptr;
  void (*accumulate)(DType, std::int64_t numel, const void* addend, void* sum) = nullptr;  // sum += addend
};

/// The best set this machine has.
SimdKernels select_simd_kernels();

}  // namespace bsq
