// Filter gradients that the backend leaves in parts, until the parts of many layers are summed by one operation.
#pragma once

#include "engine/memory/device_memory.h"
#include "kernels/backend.h"

#include <cstddef>
#include <span>
#include <vector>

namespace bsq {

class GradientPartsBuffer {
 public:
  static constexpr std::size_t kMostFloats = std::size_t{4} << 20;  // 16 MiB: a third of the cache of a large GPU

  explicit GradientPartsBuffer(Backend& backend) : backend_(backend) {}

  /// Makes room for what the convolutions of any of these batches leave, or for some of it: parts that were written
  /// long ago have left the caches of the device, and large networks would need much memory. Nothing where the backend
  /// leaves no parts.
  void allocate(DeviceMemory& memory, const std::vector<std::vector<ConvGeometry>>& batches);

  /// Whether the parts of this one fit in only once those that are there have been summed.
  bool is_full_for(const ConvGeometry& geometry) const;
  /// Where the backend shall leave the parts of a gradient; null: it shall write `d_weight`. Room must have been made.
  float* take(const ConvGeometry& geometry, float* d_weight);
  /// Enqueues the sums of what has been taken since the last time.
  void sum();
  bool is_empty() const { return pending_.empty(); }

 private:
  /// In floats, of one gradient; 0: it gets none.
  std::size_t size_of_parts(const ConvGeometry& geometry) const;

  Backend& backend_;
  Buffer buffer_;
  std::size_t size_ = 0;  // floats
  std::size_t used_ = 0;
  std::vector<GradientParts> pending_;
};

}  // namespace bsq
