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

/// The part of a picture of size `from` that the part `window` of it, resized to `to`, depends on. `window` must lie in
/// `to`.
PixelWindow source_of(ImageSize from, ImageSize to, const PixelWindow& window, Interpolation interpolation);

/// Of a picture of size `from`, resized to `to`, the part in the window, [window.size, channels]: columns first,
/// rounded to 8 bits, then rows. No more is computed: a picture may be thousands of times as long as it is high.
/// `pixels`: the part source_of() says of the picture, dense, of 3 channels or 1.
std::vector<std::uint8_t> resize_pixels(std::span<const std::uint8_t> pixels, ImageSize from, ImageSize to,
                                        const PixelWindow& window, Interpolation interpolation, int channels = 3);

}  // namespace bsq
