// Resizes pictures as PIL's Image.resize does, antialiased, to the last bit: 8-bit pixels and weights of 22 bits.
#pragma once

#include "data/image_formats/image_format.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bsq {

/// The filter's kernel: `bilinear`, a triangle, or `bicubic`, with a = -0.5.
enum class Interpolation { bilinear, bicubic };

/// In the order of the enumeration.
const std::vector<std::string>& interpolation_names();
/// Throws Error(usage) for another name.
Interpolation interpolation_named(const std::string& name);

/// The input pixels of one output pixel, and their weights, which add up to about 2^22.
struct PixelTaps {
  int first = 0;
  std::vector<std::int32_t> weights;
};

/// Makes the part `window` of pictures of size `from` that are resized to `to`, [window.size, channels]: columns first,
/// rounded to 8 bits, then rows. No more is computed: a picture may be thousands of times as long as it is high.
class Resizing {
 public:
  /// `window` must lie in `to`, and have pixels.
  Resizing(ImageSize from, ImageSize to, const PixelWindow& window, Interpolation interpolation);

  /// The part of a picture that the window depends on.
  const PixelWindow& source() const { return source_; }
  /// `pixels`: that part, dense, of 3 channels or 1.
  std::vector<std::uint8_t> resize(std::span<const std::uint8_t> pixels, int channels) const;

 private:
  std::vector<PixelTaps> rows_;
  std::vector<PixelTaps> columns_;
  PixelWindow source_;
};

/// The same in one step.
std::vector<std::uint8_t> resize_pixels(std::span<const std::uint8_t> pixels, ImageSize from, ImageSize to,
                                        const PixelWindow& window, Interpolation interpolation, int channels = 3);

}  // namespace bsq
