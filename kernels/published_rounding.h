// How the published PyTorch code rounds weights, in float32 to the bit: what a checkpoint's planes mean, what
// re-quantization starts from, and what logs count. The forward pass of a backend rounds its own sums instead
// (kernels/ops/), which differ from these by an ulp of u.
#pragma once

#include "kernels/types.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>

namespace bsq::published {

constexpr int max_level(int bits) {
  return (1 << bits) - 1;
}

/// c_b = 2^(bits-1-b) / (2^bits - 1), b = 0 the most significant.
constexpr float coefficient(int bits, int plane) {
  return static_cast<float>(static_cast<double>(1 << (bits - 1 - plane)) / max_level(bits));
}

/// The order in which PyTorch adds up a last axis of this length: four partial sums, of which the first takes what is
/// left over, and then the sum of those four; eight planes make one vector, added up from the left. Entries beyond
/// `bits` are to be left out.
constexpr std::array<int, kMaxBits> summation_order(int bits) {
  return bits == kMaxBits ? std::array<int, kMaxBits>{0, 1, 2, 3, 4, 5, 6, 7}
                          : std::array<int, kMaxBits>{0, 4, 5, 6, 7, 1, 2, 3};
}

/// u (2^bits - 1) rounded half to even.
inline float nearest_level(float u, int bits) {
  return std::nearbyint(u * static_cast<float>(max_level(bits)));
}

/// Of a level; a NaN is not.
inline bool is_even(float level) {
  return std::nearbyint(level * 0.5F) == level * 0.5F;
}

/// The weight s q of a level.
inline float effective_weight(float level, int bits, float scale) {
  return level / static_cast<float>(max_level(bits)) * scale;
}

}  // namespace bsq::published
