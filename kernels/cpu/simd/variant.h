// What simd/*.cpp define for their instruction set, and the table that variant.cpp makes of it.
#pragma once

#include "kernels/cpu/simd/simd_kernels.h"

namespace bsq::BSQ_SIMD_NAMESPACE {

#define BSQ_OPERATION(name, Args) void name(const Args& args);
#define BSQ_SCRATCH(name, Of) std::size_t name(const Of& of);
#include "kernels/cpu/simd/operations.def"
void accumulate(DType dtype, std::int64_t numel, const void* addend, void* sum);

SimdKernels simd_kernels();

}  // namespace bsq::BSQ_SIMD_NAMESPACE
