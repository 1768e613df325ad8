// A file of CIFAR that has been opened, whatever its version: labels, and where its images lie.
#pragma once

#include "engine/files/posix_file.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace bsq {

inline constexpr int kCifarImageBytes = 3072;  // red, green, blue of 32x32 pixels

struct CifarBatch {
  PosixFile file;
  std::int64_t first = 0;             // where the pixels of image 0 begin in the file
  std::int64_t stride = 0;            // bytes from one image to the next
  std::vector<std::uint8_t> decoded;  // all pixels, if they do not lie in the file as they are
  std::vector<std::int64_t> labels;   // as in the file

  /// The planes of an image.
  void read(std::int64_t image, std::span<std::uint8_t, kCifarImageBytes> planes) const;
};

/// A batch of the version for Python. Throws Error(data) unless it is a pickle of a dictionary with the images of
/// `images` rows and a list of as many numbers under `labels_key`.
CifarBatch open_python_batch(const std::filesystem::path& path, const std::string& labels_key, std::int64_t images);

/// The list of texts that the dictionary in a pickle has under `key`. Throws Error(data).
std::vector<std::string> python_class_names(const std::filesystem::path& path, const std::string& key);

}  // namespace bsq
