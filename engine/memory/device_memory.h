// Who owns device memory: move-only buffers, every one named, so that a run can show where its memory goes.
#pragma once

#include "kernels/backend.h"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bsq {

/// Owns one allocation of a backend; released when it dies. Zeroed when made.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Backend& backend, std::size_t size_bytes);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  void* data() const { return data_; }
  std::size_t size_bytes() const { return size_bytes_; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  Backend* backend_ = nullptr;
  void* data_ = nullptr;
  std::size_t size_bytes_ = 0;
};

/// Owns memory of the host that is uploaded beside the work (Backend::upload_aside); released when it dies.
class HostBuffer {
 public:
  HostBuffer(Backend& backend, std::size_t size_bytes);
  HostBuffer(const HostBuffer&) = delete;
  HostBuffer& operator=(const HostBuffer&) = delete;
  ~HostBuffer();

  std::size_t size_bytes() const { return size_bytes_; }
  template <typename T>
  std::span<T> as() const {
    return {static_cast<T*>(data_), size_bytes_ / sizeof(T)};
  }

 private:
  Backend& backend_;
  std::size_t size_bytes_;
  void* data_;
};

struct MemoryEntry {
  std::string name;
  std::size_t size_bytes = 0;
};

/// Hands out buffers and remembers their names and sizes: the table a dry run prints.
class DeviceMemory {
 public:
  explicit DeviceMemory(Backend& backend) : backend_(backend) {}

  Backend& backend() const { return backend_; }
  Buffer allocate(const std::string& name, std::size_t size_bytes);
  template <typename T>
  Buffer allocate_array(const std::string& name, std::size_t count) {
    return allocate(name, count * sizeof(T));
  }
  const std::vector<MemoryEntry>& entries() const { return entries_; }
  std::size_t total_bytes() const;

 private:
  Backend& backend_;
  std::vector<MemoryEntry> entries_;
};

/// Host copies of device arrays, and back.
template <typename T>
std::vector<T> download_array(Backend& backend, const T* device, std::size_t count) {
  std::vector<T> host(count);
  backend.download(host.data(), device, count * sizeof(T));
  return host;
}

template <typename T>
void upload_array(Backend& backend, T* device, const std::vector<T>& host) {
  backend.upload(device, host.data(), host.size() * sizeof(T));
}

}  // namespace bsq
