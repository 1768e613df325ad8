// Grids of 256 levels, and the one of pictures.
#include "engine/deployed/deploy.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

constexpr int kTop = 255;
constexpr int kSignedTop = 127;
constexpr int kSignedZero = 128;
constexpr double kLastBits = 1e-4;  // of a level

std::uint8_t nearest_level(float number, const LevelGrid& grid) {
  const float level = std::nearbyint(number / grid.unit) + static_cast<float>(grid.zero);
  return static_cast<std::uint8_t>(std::clamp(level, 0.0F, static_cast<float>(grid.top)));
}

}  // namespace

float pixel_number(const InputOptions& input, std::size_t color, int byte) {
  return (static_cast<float>(byte) / 255.0F - input.mean[color]) / input.std[color];
}

LevelGrid grid_of(const ValueRange& range, ByteKind bytes) {
  const double low = std::min(double{range.low}, 0.0), high = std::max(double{range.high}, 0.0);
  if (!(high > low)) return {};  // nothing but zeros
  if (bytes == ByteKind::signed_zero) {
    const auto unit = static_cast<float>(std::max(high, -low) / kSignedTop);
    return low < 0 ? LevelGrid{unit, kSignedZero, kTop} : LevelGrid{unit, 0, kSignedTop};
  }
  const auto unit = static_cast<float>((high - low) / kTop);
  return {.unit = unit, .zero = static_cast<int>(std::clamp(std::nearbyint(-low / unit), 0.0, double{kTop}))};
}

LevelGrid picture_grid(const InputOptions& input, ByteKind bytes) {
  constexpr double kSame = 1e-4;  // levels
  const double zero = kTop * double{input.mean[0]}, per_unit = kTop * double{input.std[0]};
  const bool is_one_grid =
      std::all_of(input.mean.begin(), input.mean.end(), [&](float m) { return m == input.mean[0]; }) &&
      std::all_of(input.std.begin(), input.std.end(), [&](float s) { return s == input.std[0]; }) &&
      std::abs(zero - std::nearbyint(zero)) < kSame;
  if (is_one_grid && (bytes == ByteKind::any_zero || std::nearbyint(zero) == kSignedZero)) {
    // Rounded to what float32 tells apart, so that 64/255 in a configuration gives 1/64.
    const double whole = std::nearbyint(per_unit);
    return {.unit = static_cast<float>(1 / (std::abs(per_unit - whole) < kSame ? whole : per_unit)),
            .zero = static_cast<int>(std::nearbyint(zero))};
  }
  ValueRange range;
  for (std::size_t color = 0; color < input.mean.size(); ++color) {
    range.low = std::min(range.low, pixel_number(input, color, 0));
    range.high = std::max(range.high, pixel_number(input, color, kTop));
  }
  return grid_of(range, bytes);
}

PixelLevels pixel_levels(const InputOptions& input, const LevelGrid& grid) {
  PixelLevels levels(input.mean.size());
  for (std::size_t color = 0; color < levels.size(); ++color)
    for (int byte = 0; byte <= kTop; ++byte)
      levels[color][static_cast<std::size_t>(byte)] = nearest_level(pixel_number(input, color, byte), grid);
  return levels;
}

bool is_exact(const InputOptions& input, const LevelGrid& grid) {
  for (std::size_t color = 0; color < input.mean.size(); ++color)
    for (int byte = 0; byte <= kTop; ++byte)
      if (std::abs(pixel_number(input, color, byte) / grid.unit + static_cast<float>(grid.zero - byte)) > kLastBits)
        return false;
  return true;
}

int count_halfway_bytes(const InputOptions& input, const LevelGrid& grid) {
  int count = 0;
  for (std::size_t color = 0; color < input.mean.size(); ++color) {
    for (int byte = 0; byte <= kTop; ++byte) {
      const double level = double{pixel_number(input, color, byte)} / double{grid.unit};
      count += std::abs(level - std::floor(level) - 0.5) < kLastBits ? 1 : 0;
    }
  }
  return count;
}

}  // namespace bsq
