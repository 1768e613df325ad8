// Tells a set of images from others.
#pragma once

#include "engine/input/dataset.h"

namespace bsq {

/// Of one set: how many images, and 64 bits over class names, image size, channels, and labels and pixels in their
/// order. Where the files lie and what they are called makes no difference.
struct SetFingerprint {
  std::int64_t images = 0;
  std::uint64_t hash = 0;
  bool is_of_files = false;  // of a set that is not read at once: identities of images in place of their pixels

  SetFingerprint() = default;
  /// Of a set without images so far.
  explicit SetFingerprint(const DatasetInfo& info);
  void add(std::int32_t label, std::span<const std::uint8_t> pixels);
  /// Of a set whose images are not read.
  static SetFingerprint of_files(const Dataset& images);
  friend bool operator==(const SetFingerprint&, const SetFingerprint&) = default;
};

}  // namespace bsq
