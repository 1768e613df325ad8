// bfloat16 on the host: the upper half of a float. Plain C++ for CPU code; CUDA sources have their own type.
//
// Conversion from float rounds to nearest, ties to even, as hardware does; a NaN stays a (quiet) NaN.
#pragma once

#include <bit>
#include <cstdint>

namespace bsq {

struct bfloat16 {
  std::uint16_t bits = 0;
};

inline float to_float(bfloat16 value) {
  return std::bit_cast<float>(std::uint32_t{value.bits} << 16);
}

inline bfloat16 to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return {static_cast<std::uint16_t>((bits >> 16) | 0x40U)};
  return {static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16)};
}

}  // namespace bsq
