// Of the runtime's stand-in: device and pinned memory, copies, fills.
//
// Device memory is host memory of the very size asked for, aligned to 256 as with CUDA, and starts as 0xFF: a NaN.
#include "tests/cuda_on_host/emulator/runtime.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>

namespace bsq::cuda_on_host {
namespace {

constexpr std::size_t kAlignment = 256;

std::size_t device_bytes() {
  return device().memory_mib << 20;
}

struct Allocations {
  Allocations() = default;
  Allocations(const Allocations&) = delete;
  Allocations& operator=(const Allocations&) = delete;
  /// What a lost device would not release; anything else is a leak of the program's.
  ~Allocations() {
    for (const auto& [address, size] : sizes)
      if (error_of_lost_device() != cudaSuccess) std::free(reinterpret_cast<void*>(address));
  }

  std::mutex mutex;
  std::map<std::uintptr_t, std::size_t> sizes;  // by address
  std::size_t used_bytes = 0;
};

Allocations& allocations() {
  static Allocations device_memory;
  return device_memory;
}

/// Whether all of it lies within one allocation of device memory.
bool is_device_memory(const void* begin, std::size_t size_bytes) {
  Allocations& memory = allocations();
  const std::lock_guard lock(memory.mutex);
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  auto found = memory.sizes.upper_bound(address);
  if (found == memory.sizes.begin()) return false;
  --found;
  const std::uintptr_t offset = address - found->first;
  return offset < found->second && size_bytes <= found->second - offset;
}

bool fits_kind(const void* target, const void* source, std::size_t size_bytes, cudaMemcpyKind kind) {
  switch (kind) {
    case cudaMemcpyHostToDevice: return is_device_memory(target, size_bytes) && !touches_device_memory(source);
    case cudaMemcpyDeviceToHost: return !touches_device_memory(target) && is_device_memory(source, size_bytes);
    case cudaMemcpyDeviceToDevice: return is_device_memory(target, size_bytes) && is_device_memory(source, size_bytes);
    default: return false;  // bsq always says which way
  }
}

}  // namespace

bool touches_device_memory(const void* begin) {
  return is_device_memory(begin, 1);
}

}  // namespace bsq::cuda_on_host

using namespace bsq::cuda_on_host;

extern "C" {

cudaError_t cudaMalloc(void** data, std::size_t size_bytes) {
  *data = nullptr;
  if (const cudaError_t refused = refuse_while_capturing("cudaMalloc")) return refused;
  Allocations& memory = allocations();
  const std::lock_guard lock(memory.mutex);
  if (size_bytes == 0) return cudaSuccess;
  if (size_bytes > device_bytes() - std::min(device_bytes(), memory.used_bytes) ||
      posix_memalign(data, kAlignment, size_bytes) != 0) {
    return remember(cudaErrorMemoryAllocation);
  }
  std::memset(*data, 0xFF, size_bytes);
  memory.sizes[reinterpret_cast<std::uintptr_t>(*data)] = size_bytes;
  memory.used_bytes += size_bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  if (const cudaError_t refused = refuse_while_capturing("cudaFree")) return refused;
  if (data == nullptr) return cudaSuccess;
  Allocations& memory = allocations();
  const std::lock_guard lock(memory.mutex);
  const auto found = memory.sizes.find(reinterpret_cast<std::uintptr_t>(data));
  if (found == memory.sizes.end()) return remember(cudaErrorInvalidValue);
  memory.used_bytes -= found->second;
  memory.sizes.erase(found);
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  if (const cudaError_t refused = refuse("cudaMemGetInfo")) return refused;
  Allocations& memory = allocations();
  const std::lock_guard lock(memory.mutex);
  *free_bytes = device_bytes() - std::min(device_bytes(), memory.used_bytes);
  *total_bytes = device_bytes();
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** data, std::size_t size_bytes, unsigned /*flags*/) {
  if (const cudaError_t refused = refuse_while_capturing("cudaHostAlloc")) return refused;
  if (posix_memalign(data, kAlignment, size_bytes) != 0) return remember(cudaErrorMemoryAllocation);
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* data) {
  if (const cudaError_t refused = refuse_while_capturing("cudaFreeHost")) return refused;
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* target, const void* source, std::size_t size_bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (size_bytes == 0) return cudaSuccess;
  if (!fits_kind(target, source, size_bytes, kind)) return remember(cudaErrorInvalidValue);
  return enqueue("cudaMemcpyAsync", stream, [=] { std::memcpy(target, source, size_bytes); });
}

cudaError_t cudaMemsetAsync(void* target, int value, std::size_t size_bytes, cudaStream_t stream) {
  if (size_bytes == 0) return cudaSuccess;
  if (!is_device_memory(target, size_bytes)) return remember(cudaErrorInvalidValue);
  return enqueue("cudaMemsetAsync", stream, [=] { std::memset(target, value, size_bytes); });
}

}  // extern "C"
