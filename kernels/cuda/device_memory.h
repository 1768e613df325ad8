// Device memory: what the engine's arrays and the short-lived ones of planning have in common.
#pragma once

#include <cstddef>

namespace bsq::cuda {

/// Throws Error(device) naming what was wanted and what is free.
void* allocate_device_memory(std::size_t size_bytes);
/// Reports no error: an earlier or a later call does.
void release_device_memory(void* data) noexcept;

class DeviceMemory {
 public:
  explicit DeviceMemory(std::size_t size_bytes) : data_(allocate_device_memory(size_bytes)) {}
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() { release_device_memory(data_); }
  void* data() const { return data_; }

 private:
  void* data_;
};

}  // namespace bsq::cuda
