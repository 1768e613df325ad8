#include "engine/network/gradient_parts_buffer.h"

#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {
namespace {

constexpr std::size_t kAlignment = 16;  // floats

}  // namespace

std::size_t GradientPartsBuffer::size_of_parts(const ConvGeometry& geometry) const {
  const int parts = backend_.gradient_parts(geometry);
  if (parts <= 1) return 0;
  const std::size_t floats =
      static_cast<std::size_t>(parts) * static_cast<std::size_t>(geometry.weight_shape().numel());
  const std::size_t aligned = (floats + kAlignment - 1) / kAlignment * kAlignment;
  return aligned > kMostFloats ? 0 : aligned;
}

void GradientPartsBuffer::allocate(DeviceMemory& memory, const std::vector<std::vector<ConvGeometry>>& batches) {
  for (const std::vector<ConvGeometry>& convolutions : batches) {
    std::size_t floats = 0;
    for (const ConvGeometry& geometry : convolutions) floats += size_of_parts(geometry);
    size_ = std::max(size_, std::min(floats, kMostFloats));
  }
  if (size_ > 0) buffer_ = memory.allocate_array<float>("filter gradients in parts", size_);
}

bool GradientPartsBuffer::is_full_for(const ConvGeometry& geometry) const {
  return used_ + size_of_parts(geometry) > size_;
}

float* GradientPartsBuffer::take(const ConvGeometry& geometry, float* d_weight) {
  const std::size_t floats = size_of_parts(geometry);
  if (floats == 0) return nullptr;
  require(used_ + floats <= size_, "no room for a filter gradient in parts: {} of {} floats are taken", used_, size_);
  float* const parts = buffer_.as<float>() + used_;
  used_ += floats;
  pending_.push_back({geometry.weight_shape().numel(), backend_.gradient_parts(geometry), parts, d_weight});
  return parts;
}

void GradientPartsBuffer::sum() {
  if (!pending_.empty()) backend_.sum_gradient_parts(pending_);
  pending_.clear();
  used_ = 0;
}

}  // namespace bsq
