// Gray of colours, as PIL's convert("L") makes it: a level of its own for every pixel, and for gray that level itself.
#pragma once

#include <cstdint>
#include <span>

namespace bsq {

/// Of the red, green and blue at `rgb`: 0 .. 255.
inline int gray_level(const std::uint8_t* rgb) {
  constexpr int kHalf = 1 << 15;
  return (rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + kHalf) >> 16;
}

/// `gray` [pixels] of `rgb` [pixels, 3]; the first may be the beginning of the second.
inline void make_gray(std::span<const std::uint8_t> rgb, std::uint8_t* gray) {
  for (std::size_t i = 0; i < rgb.size(); i += 3) *gray++ = static_cast<std::uint8_t>(gray_level(&rgb[i]));
}

}  // namespace bsq
