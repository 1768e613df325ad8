// Tells a set of images from others.
#pragma once

#include "engine/input/dataset.h"

namespace bsq {

/// Of one set: how many images, and 64 bits over class names, image size, and labels and pixels in their order. Where
/// the files lie and what they are called makes no difference.
struct SetFingerprint {
  std::int64_t images = 0;
  std::uint64_t hash = 0;

  SetFingerprint() = default;
  /// Of a set without images so far.
  explicit SetFingerprint(const DatasetInfo& info);
  void add(std::int32_t label, std::span<const std::uint8_t> pixels);
  friend bool operator==(const SetFingerprint&, const SetFingerprint&) = default;
};

}  // namespace bsq
