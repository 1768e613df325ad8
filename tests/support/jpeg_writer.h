// Pictures that tests make, and how they become JPEGs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace bsq::test {

/// [height, width, channels]: 1 (gray), 3 (RGB) or 4 (CMYK in a JPEG, RGBA in a PNG) channels.
struct Picture {
  int height = 0;
  int width = 0;
  int channels = 3;
  std::vector<std::uint8_t> pixels;
};

/// How a JPEG is written.
struct JpegKind {
  int columns_per_color = 2;  // pixels beside each other that share a colour
  int rows_per_color = 2;
  bool is_progressive = false;
  bool has_means_alone = false;  // of blocks; a file that was cut behind its first scan says no more
  int quality = 100;
};

/// Makes the folders above it.
void write_jpeg(const std::filesystem::path& path, const Picture& picture, const JpegKind& kind = {});

}  // namespace bsq::test
