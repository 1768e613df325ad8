// Bytes in memory, read as those of a file are.
#pragma once

#include "kernels/base/error.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>

namespace bsq {

/// What PosixFile offers to readers.
class MemorySource {
 public:
  MemorySource(std::span<const std::byte> bytes, const std::filesystem::path& name) : bytes_(bytes), name_(name) {}

  std::int64_t size_bytes() const { return static_cast<std::int64_t>(bytes_.size()); }
  const std::filesystem::path& path() const { return name_; }
  void read_at(std::int64_t offset, std::span<std::byte> bytes) const {
    require(static_cast<std::size_t>(offset) + bytes.size() <= bytes_.size(), "reads beyond its bytes");
    if (!bytes.empty()) std::memcpy(bytes.data(), bytes_.data() + offset, bytes.size());
  }

 private:
  std::span<const std::byte> bytes_;
  const std::filesystem::path& name_;
};

}  // namespace bsq
