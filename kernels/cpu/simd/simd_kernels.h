// The CPU backend's own loops, compiled once per instruction set and chosen when the program starts.
//
// Every function of operations.def is one whole operation (same arguments, same contract), parallel over fixed chunks:
// partial sums are combined in chunk order, so that results do not depend on the number of threads.
#pragma once

#include "kernels/ops/operations.h"

#include <cstddef>

namespace bsq {

/// One instruction set's functions.
struct SimdKernels {
  const char* instruction_set = nullptr;
#define BSQ_OPERATION(name, Args) void (*name)(const Args&) = nullptr;
#define BSQ_SCRATCH(name, Of) std::size_t (*name)(const Of&) = nullptr;
#include "kernels/cpu/simd/operations.def"
  void (*accumulate)(DType, std::int64_t numel, const void* addend, void* sum) = nullptr;  // sum += addend
};

/// The best set this machine has.
SimdKernels select_simd_kernels();

}  // namespace bsq
