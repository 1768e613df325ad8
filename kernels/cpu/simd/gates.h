// Sigmoids of sixteen numbers and their slopes: the gates of CSQ (METHOD 14).
#pragma once

#include "kernels/cpu/simd/lanes.h"

namespace bsq::BSQ_SIMD_NAMESPACE {

/// e^x for x <= 0, to 2 units in the last place; below e^-87 it stays what it is there. A NaN stays one.
BSQ_LANES_INLINE FloatLanes exp_of_negative(FloatLanes x) {
  constexpr float log2_e = 1.44269504F;
  constexpr float ln2_high = 0.693359375F;  // few bits: its products with whole numbers are exact
  constexpr float ln2_low = -2.12194440e-4F;
  const FloatLanes bounded = at_least(x, broadcast(-87.0F));
  const FloatLanes power = round_half_even(bounded * log2_e);
  const FloatLanes rest = (bounded - power * ln2_high) - power * ln2_low;  // |rest| <= ln 2 / 2
  FloatLanes series = broadcast(1.0F / 5040);                              // Taylor's, to the seventh power
  series = series * rest + 1.0F / 720;
  series = series * rest + 1.0F / 120;
  series = series * rest + 1.0F / 24;
  series = series * rest + 1.0F / 6;
  series = series * rest + 0.5F;
  series = series * rest + 1.0F;
  series = series * rest + 1.0F;
  const WordLanes exponent = reinterpret_cast<WordLanes>(__builtin_convertvector(power, IntLanes) + 127) << 23;
  return series * reinterpret_cast<FloatLanes>(exponent);
}

struct Gates {
  FloatLanes value;
  FloatLanes slope;  // by x
};

/// sigmoid(temperature x) and its slope.
BSQ_LANES_INLINE Gates soft_gates(FloatLanes x, float temperature) {
  const FloatLanes scaled = temperature * x;
  const FloatLanes small = exp_of_negative(-magnitude(scaled));
  const FloatLanes inverse = 1.0F / (1.0F + small);
  return {scaled < 0.0F ? small * inverse : inverse, temperature * small * inverse * inverse};
}

/// [x > 0], without a slope.
BSQ_LANES_INLINE FloatLanes hard_gates(FloatLanes x) {
  return x > 0.0F ? broadcast(1.0F) : FloatLanes{};
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
