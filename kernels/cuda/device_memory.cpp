#include "kernels/cuda/device_memory.h"

#include "kernels/base/error.h"
#include "kernels/cuda/check.h"

#include <cuda_runtime_api.h>

namespace bsq::cuda {

void* allocate_device_memory(std::size_t size_bytes) {
  constexpr double mib = 1024.0 * 1024.0;
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, size_bytes == 0 ? 1 : size_bytes);
  // Some drivers call a size beyond all address space not too large but invalid.
  if (status == cudaErrorMemoryAllocation || status == cudaErrorInvalidValue) {
    static_cast<void>(cudaGetLastError());  // not sticky: the device can be used on
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    BSQ_CUDA_CHECK(cudaMemGetInfo(&free_bytes, &total_bytes));
    fail(
        ErrorKind::device,
        "out of device memory: wanted {:.1f} MiB, {:.1f} MiB are free of {:.1f}; try a smaller data.batch_size, or end "
        "what else uses the GPU's memory (nvidia-smi)",
        static_cast<double>(size_bytes) / mib, static_cast<double>(free_bytes) / mib,
        static_cast<double>(total_bytes) / mib);
  }
  BSQ_CUDA_CHECK(status);
  return data;
}

void release_device_memory(void* data) noexcept {
  cudaFree(data);
}

}  // namespace bsq::cuda
