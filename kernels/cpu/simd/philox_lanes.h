// Philox (kernels/random.h) of as many counters at once as one register holds.
//
// Vectors are as wide as the machine's: of wider ones compilers make scalars where lanes are 64 bits.
#pragma once

#include "kernels/cpu/simd/lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bsq::BSQ_SIMD_NAMESPACE {

#if defined(__AVX512F__)
constexpr int kRegisterBytes = 64;
#elif defined(__AVX2__)
constexpr int kRegisterBytes = 32;
#else
constexpr int kRegisterBytes = 16;
#endif
constexpr int kRegisterWords = kRegisterBytes / 4;
using Words = std::uint32_t __attribute__((vector_size(kRegisterBytes)));
using SignedWords = std::int32_t __attribute__((vector_size(kRegisterBytes)));
using LongWords = std::uint64_t __attribute__((vector_size(kRegisterBytes)));

/// The lower half of every lane times `factor`. Compilers do not see that 32 bits times 32 bits are wanted.
BSQ_LANES_INLINE LongWords times_lower_half(LongWords lanes, std::uint32_t factor) {
#if defined(__AVX512F__)  // with a mask, for GCC warns of what its header has in place of one
  return reinterpret_cast<LongWords>(
      _mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(lanes), _mm512_set1_epi64(factor)));
#elif defined(__AVX2__)
  return reinterpret_cast<LongWords>(_mm256_mul_epu32(reinterpret_cast<__m256i>(lanes), _mm256_set1_epi64x(factor)));
#elif defined(__x86_64__)
  return reinterpret_cast<LongWords>(_mm_mul_epu32(reinterpret_cast<__m128i>(lanes), _mm_set1_epi64x(factor)));
#else
  return (lanes & 0xFFFFFFFFU) * factor;
#endif
}

/// 0, 1, 2, ...
BSQ_LANES_INLINE Words count_up() {
  Words lanes{};
  for (std::uint32_t i = 0; i < kRegisterWords; ++i) lanes[i] = i;
  return lanes;
}

struct WideProduct {
  Words high, low;
};

BSQ_LANES_INLINE WideProduct multiply_wide(Words lanes, std::uint32_t factor) {
  const LongWords pairs = reinterpret_cast<LongWords>(lanes);
  const LongWords first = times_lower_half(pairs, factor);
  const LongWords second = times_lower_half(pairs >> 32, factor);
  return {reinterpret_cast<Words>((first >> 32) | (second & 0xFFFFFFFF00000000U)),
          reinterpret_cast<Words>((first & 0xFFFFFFFFU) | (second << 32))};
}

/// philox4x32 of every lane: `counter` becomes the random words.
BSQ_LANES_INLINE void philox_lanes(Words (&counter)[4], std::uint64_t key) {
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const WideProduct product0 = multiply_wide(counter[0], 0xD2511F53U);
    const WideProduct product1 = multiply_wide(counter[2], 0xCD9E8D57U);
    counter[0] = product1.high ^ counter[1] ^ k0;
    counter[1] = product1.low;
    counter[2] = product0.high ^ counter[3] ^ k1;
    counter[3] = product0.low;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
