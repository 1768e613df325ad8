// A data set that lies in host memory.
#pragma once

#include "engine/input/dataset.h"

#include <algorithm>
#include <utility>

namespace bsq {

struct ImageSet final : Dataset {
  DatasetInfo images;
  std::vector<std::uint8_t> pixels;  // [size, height, width, channels]
  std::vector<std::int32_t> labels;  // [size], 0 .. num_classes - 1

  ImageSet() = default;
  explicit ImageSet(DatasetInfo info, std::vector<std::uint8_t> all_pixels = {},
                    std::vector<std::int32_t> all_labels = {})
      : images(std::move(info)), pixels(std::move(all_pixels)), labels(std::move(all_labels)) {}

  const DatasetInfo& info() const override { return images; }
  std::int64_t size() const override { return static_cast<std::int64_t>(labels.size()); }
  std::int32_t label(std::int64_t number) const override { return labels.at(static_cast<std::size_t>(number)); }
  void read(std::int64_t number, std::span<std::uint8_t> image) const override {
    std::copy_n(pixels.begin() + number * static_cast<std::int64_t>(image.size()), image.size(), image.begin());
  }
};

}  // namespace bsq
