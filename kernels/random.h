// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a pure function of
// (seed, stream, epoch, sample, draw), so that no number depends on threads, batches or ranks. Host and device.
#pragma once

#include "kernels/host_device.h"

#include <array>
#include <cstdint>

namespace bsq {

/// Who draws. Every purpose has a stream of its own, so that one never shifts another.
enum class RandomStream : std::uint32_t {
  initialize = 1,
  shuffle = 2,
  augment = 3,
  synthesize = 4,
  dropout = 5,
  probe = 6,
  mix = 7
};

using PhiloxCounter = std::array<std::uint32_t, 4>;

BSQ_HOST_DEVICE inline PhiloxCounter philox4x32(PhiloxCounter counter, std::uint64_t key) {
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53U} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57U} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ k0, static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ k1, static_cast<std::uint32_t>(product0)};
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return counter;
}

/// Uniform in [0, 1), from the upper 24 bits: every value is exact in float.
BSQ_HOST_DEVICE inline float uniform_from_bits(std::uint32_t bits) {
  return static_cast<float>(bits >> 8) * (1.0F / 16777216.0F);
}

/// Uniform in 0 .. bound-1 (multiply-shift; bias below bound / 2^32).
BSQ_HOST_DEVICE inline std::uint32_t bounded_from_bits(std::uint32_t bits, std::uint32_t bound) {
  return static_cast<std::uint32_t>((std::uint64_t{bits} * bound) >> 32);
}

/// The augmentation of one sample: where its crop starts (0 .. 2 * padding) and whether it is mirrored.
struct CropFlip {
  int top = 0;
  int left = 0;
  bool flip = false;
};

BSQ_HOST_DEVICE inline CropFlip draw_crop_flip(std::uint64_t seed, std::uint32_t stream, std::int32_t epoch,
                                               std::int32_t sample, int padding, bool random_flip) {
  const PhiloxCounter bits =
      philox4x32({static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(epoch), stream, 0}, seed);
  const auto range = static_cast<std::uint32_t>(2 * padding + 1);
  return {static_cast<int>(bounded_from_bits(bits[0], range)), static_cast<int>(bounded_from_bits(bits[1], range)),
          random_flip && (bits[2] >> 31) != 0};
}

/// Dropout takes the elements of a sample in groups of 64, for which it draws from 16 counters: word w of counter l is
/// that of element 16 w + l, so that the words of sixteen counters side by side are those of elements side by side.
inline constexpr int kDropoutCounters = 16;
inline constexpr int kDropoutGroup = 4 * kDropoutCounters;

BSQ_HOST_DEVICE inline PhiloxCounter draw_dropout(std::uint64_t seed, std::uint32_t stream, std::int32_t epoch,
                                                  std::int32_t sample, std::int64_t group, int counter) {
  return philox4x32({static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(epoch), stream,
                     static_cast<std::uint32_t>(group * kDropoutCounters + counter)},
                    seed);
}

}  // namespace bsq
