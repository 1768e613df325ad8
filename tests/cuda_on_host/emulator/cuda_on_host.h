// What kernels/cuda/device/port.h includes where nvcc does not compile it: CUDA on the host, for tests.
//
// The types are CUDA's own, from its headers. What a kernel has to keep to, so that both compilers take it and it means
// the same to both:
// - Include no CUDA header but port.h; launch through launch(); shared memory through BSQ_SHARED, BSQ_DYNAMIC_SHARED.
// - Every thread calls wait_for_previous() before it accesses global memory (kernels/cuda/device/dependent_launch.cuh).
// - Barriers in uniform control flow, no return before one. No waiting for other blocks or in a loop for other threads:
//   a thread runs until it reaches a barrier or a warp operation. No cooperative groups, clusters, TMA, wgmma, CUB.
// - Nothing relies on the lanes of a warp moving together; full-mask operations only where every lane arrives.
// - No #if __CUDA_ARCH__ around logic. Functions that host code calls are __host__ __device__ (only nvcc sees it).
// What it can tell:
// - barriers and warp operations that not all threads reach, shared memory that no block can have, and threads that
//   end without wait_for_previous(); in every build;
// - accesses out of bounds or not aligned, by AddressSanitizer and UBSan;
// - races, by ThreadSanitizer: within a block without a barrier or __syncwarp in between, and between blocks unless the
//   first has a __threadfence and then an atomic, the second an atomic on the same address and then a __threadfence;
//   __syncthreads, not __syncwarp, carries the fence or the atomic of one thread to the others of its block;
// - copies to shared memory that are read too early, since they come as late as they may; matrices of a warp that are
//   not aligned, and those that not all lanes ask for;
// - how many kernels a piece of work launches, by name, and as nodes of a graph (emulator/launches.h);
// - how many wavefronts the accesses to shared memory take, and the least that there could be (counts/);
// - accesses to global memory before wait_for_previous() (counts/).
// What it cannot tell: speed, what global memory and its caches cost, registers, instructions that nvcc leaves out or
// reads twice, real weak memory, rounding of fused and approximate operations and of tensor cores, __launch_bounds__;
// nor the wavefronts of lanes that come to one instruction in different rounds of a loop, which are taken to come
// together.
#pragma once

#include "tests/cuda_on_host/emulator/intrinsics.h"
#include "tests/cuda_on_host/emulator/matrix.h"
#include "tests/cuda_on_host/emulator/runtime.h"
#include "tests/cuda_on_host/emulator/scheduler.h"
#include "tests/cuda_on_host/emulator/synchronization.h"

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#undef __launch_bounds__
#define __launch_bounds__(...)

// Plain __shared__ does not compile: it would be one variable for all blocks, without poison or red zones.
#undef __shared__

#define BSQ_SHARED(type, name, extents)                                              \
  using name##_shared_type = type extents;                                           \
  static constinit ::bsq::cuda_on_host::SharedVariable name##_shared_variable;       \
  auto& name = *static_cast<name##_shared_type*>(::bsq::cuda_on_host::static_shared( \
      name##_shared_variable, sizeof(name##_shared_type), alignof(name##_shared_type)))
#define BSQ_DYNAMIC_SHARED(type, name) type* const name = static_cast<type*>(::bsq::cuda_on_host::dynamic_shared())

namespace bsq::cuda {

/// kernels/cuda/device/dependent_launch.cuh
inline void wait_for_previous() {
  cuda_on_host::wait_for_previous_kernel();
}

template <typename... Parameters>
cudaError_t enqueue(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
                    std::type_identity_t<Parameters>... arguments) {
  return cuda_on_host::enqueue_grid(stream, reinterpret_cast<const void*>(kernel), {grid, block, shared_bytes},
                                    [=] { kernel(arguments...); });
}

}  // namespace bsq::cuda
