// Buffers and the table of their names.
#include "engine/memory/device_memory.h"

#include <utility>

namespace bsq {

Buffer::Buffer(Backend& backend, std::size_t size_bytes)
    : backend_(&backend), data_(backend.allocate(size_bytes)), size_bytes_(size_bytes) {}

Buffer::Buffer(Buffer&& other) noexcept
    : backend_(other.backend_),
      data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(backend_, other.backend_);
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

Buffer::~Buffer() {
  if (data_ != nullptr) backend_->release(data_);
}

HostBuffer::HostBuffer(Backend& backend, std::size_t size_bytes)
    : backend_(backend), size_bytes_(size_bytes), data_(backend.allocate_host(size_bytes)) {}

HostBuffer::~HostBuffer() {
  backend_.release_host(data_);
}

Buffer DeviceMemory::allocate(const std::string& name, std::size_t size_bytes) {
  Buffer buffer(backend_, size_bytes);
  entries_.push_back({name, size_bytes});
  return buffer;
}

std::size_t DeviceMemory::total_bytes() const {
  std::size_t total = 0;
  for (const MemoryEntry& entry : entries_) total += entry.size_bytes;
  return total;
}

}  // namespace bsq
