// Pixels as a PNG, for pictures that people look at.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace bsq {

/// The file of an image of [height, width, 3] pixels, red first. Throws std::runtime_error if libpng fails.
std::vector<std::uint8_t> png_of(std::span<const std::uint8_t> pixels, int height, int width);

}  // namespace bsq
