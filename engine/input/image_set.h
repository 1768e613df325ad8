// Labelled images in host memory: what data/ hands over and the engine trains on.
//
// Pixels stay uint8 RGB, interleaved and dense, image after image; crop, flip and normalisation happen per batch
// (Backend::augment). Image i starts at pixels[i * height * width * 3] and belongs to class labels[i].
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bsq {

struct ImageSet {
  static constexpr int channels = 3;

  int height = 0;
  int width = 0;
  std::vector<std::string> class_names;  // [num_classes]
  std::vector<std::uint8_t> pixels;      // [size, height, width, 3], RGB
  std::vector<std::int32_t> labels;      // [size], 0 .. num_classes - 1

  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  int num_classes() const { return static_cast<int>(class_names.size()); }
  std::size_t image_bytes() const {
    return static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * channels;
  }
};

/// What one experiment sees. Both sets have the same classes and the same image size.
struct DataSets {
  ImageSet train;
  ImageSet test;
};

/// Throws Error(data), beginning with `where`, unless both sets hold images, agree in size and classes, have as many
/// pixels as labels and only labels of their classes.
void validate(const DataSets& sets, const std::string& where);

}  // namespace bsq
