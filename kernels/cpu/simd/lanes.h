// Sixteen floats at a time, for whatever instruction set the file is compiled for (GCC / Clang vector extensions).
//
// Included by simd/*.cpp only, each compiled several times inside its own namespace BSQ_SIMD_NAMESPACE. Everything here
// is forced inline and free of the standard library's templates: a function emitted out of line could be merged by the
// linker with its twin for another instruction set.
#pragma once

#include <cstdint>

#pragma GCC diagnostic ignored "-Wpsabi"  // lanes never cross a call
#define BSQ_LANES_INLINE static inline __attribute__((always_inline))

namespace bsq::BSQ_SIMD_NAMESPACE {

constexpr int kLanes = 16;
using FloatLanes = float __attribute__((vector_size(64)));
using DoubleLanes = double __attribute__((vector_size(128)));
using IntLanes = std::int32_t __attribute__((vector_size(64)));
using WordLanes = std::uint32_t __attribute__((vector_size(64)));
using HalfLanes = std::uint16_t __attribute__((vector_size(32)));

/// Storage of a bfloat16: the upper half of a float.
struct Bf16 {
  std::uint16_t bits;
};

BSQ_LANES_INLINE FloatLanes broadcast(float value) {
  return value - FloatLanes{};
}

BSQ_LANES_INLINE FloatLanes load(const float* source) {
  FloatLanes lanes;
  __builtin_memcpy(&lanes, source, sizeof(lanes));
  return lanes;
}

BSQ_LANES_INLINE void store(float* target, FloatLanes lanes) {
  __builtin_memcpy(target, &lanes, sizeof(lanes));
}

BSQ_LANES_INLINE FloatLanes load(const Bf16* source) {
  HalfLanes halves;
  __builtin_memcpy(&halves, source, sizeof(halves));
  const WordLanes words = __builtin_convertvector(halves, WordLanes) << 16;
  return reinterpret_cast<FloatLanes>(words);
}

/// Rounds to nearest even; a NaN stays a (quiet) NaN.
BSQ_LANES_INLINE void store(Bf16* target, FloatLanes lanes) {
  const WordLanes words = reinterpret_cast<WordLanes>(lanes);
  const WordLanes rounded = (words + 0x7FFFU + ((words >> 16) & 1U)) >> 16;
  const WordLanes quiet_nan = (words >> 16) | 0x40U;
  const WordLanes result = (lanes == lanes) ? rounded : quiet_nan;
  const HalfLanes halves = __builtin_convertvector(result, HalfLanes);
  __builtin_memcpy(target, &halves, sizeof(halves));
}

/// Loads or stores the first `count` lanes; the others are 0 when loaded and are not stored.
template <typename T>
BSQ_LANES_INLINE FloatLanes load_some(const T* source, int count) {
  T buffer[kLanes] = {};
  for (int lane = 0; lane < count; ++lane) buffer[lane] = source[lane];
  return load(buffer);
}

template <typename T>
BSQ_LANES_INLINE void store_some(T* target, FloatLanes lanes, int count) {
  T buffer[kLanes];
  store(buffer, lanes);
  for (int lane = 0; lane < count; ++lane) target[lane] = buffer[lane];
}

/// If Full, all lanes, and `count` is ignored. The two cases are separate instantiations, so that the hot one has no
/// branch.
template <bool Full, typename T>
BSQ_LANES_INLINE FloatLanes load_lanes(const T* source, int count) {
  if constexpr (Full) return load(source);
  return load_some(source, count);
}

template <bool Full, typename T>
BSQ_LANES_INLINE void store_lanes(T* target, FloatLanes lanes, int count) {
  if constexpr (Full) {
    store(target, lanes);
  } else {
    store_some(target, lanes, count);
  }
}

/// max(a, floor); a NaN in `a` stays.
BSQ_LANES_INLINE FloatLanes at_least(FloatLanes a, FloatLanes floor) {
  return a < floor ? floor : a;
}
BSQ_LANES_INLINE FloatLanes at_most(FloatLanes a, FloatLanes ceiling) {
  return a > ceiling ? ceiling : a;
}

BSQ_LANES_INLINE FloatLanes magnitude(FloatLanes a) {
  return reinterpret_cast<FloatLanes>(reinterpret_cast<WordLanes>(a) & 0x7FFFFFFFU);
}

/// |a| with the sign of b.
BSQ_LANES_INLINE FloatLanes copy_sign(FloatLanes a, FloatLanes b) {
  return reinterpret_cast<FloatLanes>(reinterpret_cast<WordLanes>(magnitude(a)) |
                                      (reinterpret_cast<WordLanes>(b) & 0x80000000U));
}

/// Rounds half to even, for |a| < 2^22: adding 1.5 * 2^23 leaves no fraction bits.
BSQ_LANES_INLINE FloatLanes round_half_even(FloatLanes a) {
  constexpr float magic = 12582912.0F;
  return (a + magic) - magic;
}

BSQ_LANES_INLINE DoubleLanes widen(FloatLanes lanes) {
  return __builtin_convertvector(lanes, DoubleLanes);
}

BSQ_LANES_INLINE double sum_of(FloatLanes lanes) {
  double sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += static_cast<double>(lanes[lane]);
  return sum;
}

BSQ_LANES_INLINE float max_of(FloatLanes lanes) {
  float largest = lanes[0];
  for (int lane = 1; lane < kLanes; ++lane) largest = lanes[lane] > largest ? lanes[lane] : largest;
  return largest;
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
