// The one CUDA header of kernel files: CUDA itself under nvcc, the host emulation (tests/cuda_on_host) elsewhere.
//
// Kernels are launched through launch() only, never by <<<>>>, and get their shared memory from the two macros:
//   BSQ_SHARED(float, tile, [8][33]);   BSQ_SHARED(bool, is_last, );   a static array or variable
//   BSQ_DYNAMIC_SHARED(float, rows);    a float* to the bytes asked for at launch, aligned to 16
// Each begins with wait_for_previous() (dependent_launch.cuh).
// tests/cuda_on_host/emulator/cuda_on_host.h lists what else a kernel has to keep to.
#pragma once

#include "kernels/cuda/check.h"
#include "kernels/cuda/kernel_modules.h"
#if defined(__CUDACC__)
#include "kernels/cuda/device/dependent_launch.cuh"
#endif

#include <cstddef>
#include <type_traits>

#if defined(__CUDACC__)

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#define BSQ_SHARED(type, name, extents) __shared__ type name extents
#define BSQ_DYNAMIC_SHARED(type, name)                                 \
  extern __shared__ __align__(16) unsigned char bsq_dynamic_shared_[]; \
  type* const name = reinterpret_cast<type*>(bsq_dynamic_shared_)

namespace {

__global__ void stands_for_its_module() {}
const bsq::cuda::KernelModule kernel_module(reinterpret_cast<const void*>(&stands_for_its_module));

}  // namespace

namespace bsq::cuda {

template <typename... Parameters>
cudaError_t enqueue(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
                    std::type_identity_t<Parameters>... arguments) {
  if (shared_bytes > 48 * 1024) {  // as much as a kernel gets without asking
    const cudaError_t status =
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared_bytes));
    if (status != cudaSuccess) return status;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  if (launches_overlap(reinterpret_cast<const void*>(kernel))) {
    config.attrs = &overlap;
    config.numAttrs = 1;
  }
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

}  // namespace bsq::cuda

#else

#include <cuda_on_host.h>

#endif

namespace bsq::cuda {

/// A number of blocks, and where in the source the launch is written.
struct LaunchGrid {
  LaunchGrid(dim3 blocks, const char* file_name = __builtin_FILE(), int line_number = __builtin_LINE())
      : size(blocks), file(file_name), line(line_number) {}
  LaunchGrid(unsigned blocks, const char* file_name = __builtin_FILE(), int line_number = __builtin_LINE())
      : LaunchGrid(dim3(blocks), file_name, line_number) {}

  dim3 size;
  const char* file;
  int line;
};

/// Enqueues `kernel` on `stream`; arguments are converted to its parameters by the usual rules. Throws Error(device) if
/// the launch is refused.
template <typename... Parameters>
void launch(void (*kernel)(Parameters...), LaunchGrid grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            std::type_identity_t<Parameters>... arguments) {
  const cudaError_t status = enqueue(kernel, grid.size, block, shared_bytes, stream, arguments...);
  if (status == cudaSuccess) return;
  fail_launch(status, {reinterpret_cast<const void*>(kernel), grid.size, block, shared_bytes, grid.file, grid.line});
}

}  // namespace bsq::cuda
