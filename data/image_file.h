// One JPEG or PNG file -> interleaved 8-bit RGB. The first bytes tell the format, never the name.
//
// JPEG: libjpeg's default decoder (islow IDCT, fancy upsampling), so pixels equal those of PIL and torchvision. Gray
// becomes RGB; CMYK is refused. Every warning of libjpeg, such as a premature end, is an error here.
// PNG: libpng's simplified reader. Palettes and gray become RGB, 16 bits become 8, alpha is composited onto black.
#pragma once

#include <cstdint>
#include <filesystem>

namespace bsq {

struct ImageSize {
  int height = 0;
  int width = 0;
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

/// Larger images are refused by their header, before any memory is taken for their pixels.
constexpr ImageSize kLargestImage{4096, 4096};

/// Reads the size from the header alone. Throws Error(data) naming the file if it is unreadable, neither JPEG nor PNG,
/// corrupt or too large.
ImageSize read_image_size(const std::filesystem::path& path);

/// Decodes into pixels [expected.height, expected.width, 3]. Throws Error(data) as read_image_size() does, and if the
/// image has another size.
void read_image(const std::filesystem::path& path, ImageSize expected, std::uint8_t* pixels);

}  // namespace bsq
