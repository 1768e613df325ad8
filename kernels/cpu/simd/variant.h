// What every simd/*.cpp defines for its instruction set, and the table that variant.cpp makes of it.
#pragma once

#include "kernels/cpu/simd/simd_kernels.h"

namespace bsq::BSQ_SIMD_NAMESPACE {

std::size_t norm_act_scratch_bytes(const NormActGeometry& geometry);
void norm_act_forward(const NormActForwardArgs& args);
void norm_act_backward(const NormActBackwardArgs& args);

std::size_t planes_scratch_bytes(std::span<const PlaneTensor> tensors);
void weights_from_planes(const PlanesForwardArgs& args);
void planes_step(const PlanesStepArgs& args);
std::size_t fixed_scratch_bytes(std::span<const FixedTensor> tensors);
void weights_from_fixed(const FixedForwardArgs& args);
void fixed_step(const FixedStepArgs& args);

void sgd_step(std::int64_t numel, const SgdRule& rule, float learning_rate, const float* gradient, float* parameter,
              float* momentum);
void augment(const AugmentArgs& args);
void round_to_bf16(std::int64_t numel, const float* values, void* rounded);
void average_pool_forward(const PoolGeometry& geometry, const void* input, float unit, float* output);
void average_pool_backward(const PoolGeometry& geometry, const float* d_output, float unit, void* d_input);
void accumulate(DType dtype, std::int64_t numel, const void* addend, void* sum);

SimdKernels simd_kernels();

}  // namespace bsq::BSQ_SIMD_NAMESPACE
