#include "engine/model/levels.h"

#include "kernels/base/error.h"
#include "kernels/published_rounding.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace bsq {
namespace {

using published::max_level;

/// How many units the scale is: 2^bits - 1, or 1 if there are no bits.
double steps_of(int bits) {
  return bits == 0 ? 1.0 : max_level(bits);
}

}  // namespace

Levels symmetric_levels(int bits, float scale, std::vector<int> k) {
  const int high = bits == 0 ? 0 : max_level(bits);
  return {.bits = bits,
          .low = -high,
          .high = high,
          .unit = {static_cast<double>(scale) / steps_of(bits)},
          .k = std::move(k)};
}

bool is_lopsided(const Levels& levels) {
  return levels.low < -levels.high;
}

bool are_odd(std::span<const int> levels) {
  return std::all_of(levels.begin(), levels.end(), [](int level) { return level % 2 != 0; });
}

float scale_of(const Levels& levels) {
  return static_cast<float>(levels.unit.front() * (is_lopsided(levels) ? -levels.low : steps_of(levels.bits)));
}

int nearest_level(float u, int bits) {
  const float level = published::nearest_level(u, bits);
  if (!(std::abs(level) <= 2.0F * static_cast<float>(max_level(bits)))) {
    fail(ErrorKind::diverged,
         "a weight is {} times the scale of its layer, and levels reach to 2 times at most; lower the learning rate",
         u);
  }
  return static_cast<int>(level);
}

std::vector<int> clamped_levels(std::span<const float> u, int bits) {
  std::vector<int> levels(u.size());
  std::transform(u.begin(), u.end(), levels.begin(),
                 [bits](float value) { return nearest_level(std::clamp(value, -1.0F, 1.0F), bits); });
  return levels;
}

std::vector<float> on_grid(std::span<const int> levels, int bits) {
  std::vector<float> q(levels.size());
  std::transform(levels.begin(), levels.end(), q.begin(),
                 [bits](int level) { return static_cast<float>(level) / static_cast<float>(max_level(bits)); });
  return q;
}

std::vector<float> grid_weights(std::span<const int> levels, int bits, float scale) {
  if (bits == 0) return std::vector<float>(levels.size());
  std::vector<float> weights = on_grid(levels, bits);
  for (float& value : weights) value *= scale;
  return weights;
}

}  // namespace bsq
