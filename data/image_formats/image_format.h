// What an image format is: one line in the table of image_file.cpp.
//
// Pixels are those of PIL's Image.open(file).convert("RGB"), as torchvision's ImageFolder has them: gamma and colour
// profiles are ignored, alpha is dropped, and of several pictures in one file the first is taken.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace bsq {

struct ImageSize {
  int height = 0;
  int width = 0;
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

/// A part of a picture.
struct PixelWindow {
  int top = 0;
  int left = 0;
  ImageSize size;
  friend bool operator==(const PixelWindow&, const PixelWindow&) = default;
};

/// Whether it has pixels, and all of them are in a picture of this size.
inline bool lies_in(const PixelWindow& window, ImageSize picture) {
  return window.top >= 0 && window.left >= 0 && window.size.height > 0 && window.size.width > 0 &&
         window.size.height <= picture.height - window.top && window.size.width <= picture.width - window.left;
}

/// What of a picture is decoded.
struct ImagePart {
  PixelWindow window;  // of the picture as it is reduced
  int reduction = 1;   // 1, 2, 4 or 8: sides become so many times shorter, rounded up
};

/// Larger images are refused by their header, before any memory is taken for their pixels.
constexpr ImageSize kLargestImage{8192, 8192};

/// What read_pixels() returns of gray samples of 16 bits.
constexpr const char* kDeepGray = "16-bit gray became 8-bit by its high byte, where PIL cuts it off at 255";

/// The whole content of a file.
using ImageBytes = std::span<const std::uint8_t>;

/// Why a file cannot be read; whoever knows its name puts that in front.
struct ImageFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct ImageFormat {
  std::string name;                     // in messages
  std::vector<std::string> extensions;  // in small letters, with the dot
  std::string library;                  // Debian's package; for builds that lack it
  /// By the first bytes.
  bool (*recognizes)(ImageBytes bytes) = nullptr;
  /// From the header alone. Throws ImageFault. Null if bsq was built without the library.
  ImageSize (*read_size)(ImageBytes bytes) = nullptr;
  /// Decodes into pixels [size.height, size.width, 3], `size` being that of read_size() and no larger than
  /// kLargestImage. Returns what a user should know of the file, such as damage that its readers pass over; empty:
  /// none. Throws ImageFault.
  std::string (*read_pixels)(ImageBytes bytes, ImageSize size, std::uint8_t* pixels) = nullptr;
  /// The same for a part, [part.window.size, 3], where the format can do less for it than for the whole: the pixels,
  /// the remark and the errors are those of the whole. Null if it cannot.
  std::string (*read_part)(ImageBytes bytes, const ImagePart& part, std::uint8_t* pixels) = nullptr;
};

// Lines of the table.
ImageFormat jpeg_format();
ImageFormat png_format();
ImageFormat webp_format();
ImageFormat tiff_format();
ImageFormat bmp_format();

/// Whether `bytes` begin with these.
inline bool begins_with(ImageBytes bytes, std::string_view with) {
  if (bytes.size() < with.size()) return false;
  for (std::size_t i = 0; i < with.size(); ++i)
    if (bytes[i] != static_cast<std::uint8_t>(with[i])) return false;
  return true;
}

}  // namespace bsq
