// What one access of a warp to shared memory costs: the rule of the hardware, by itself.
//
// Shared memory has 32 banks, each of which serves one word of 4 bytes at a time; a wavefront is one such time. Lanes
// that want the same word get it together. Lanes of 8 bytes go by half warps, those of 16 by quarters. Lanes of an
// atomic on the same word take turns.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bsq::cuda_on_host {

constexpr int kLanes = 32;
constexpr int kBanks = 32;
constexpr int kBankBytes = 4;

struct WarpAccess {
  unsigned lanes = 0;  // that take part
  unsigned size_bytes = 0;
  bool is_atomic = false;
  std::uintptr_t addresses[kLanes] = {};  // of those lanes
};

struct Wavefronts {
  std::int64_t taken = 0;
  /// Were the words that are touched spread over the banks, and no word an atomic's twice.
  std::int64_t least = 0;

  double ratio() const { return least == 0 ? 1.0 : static_cast<double>(taken) / static_cast<double>(least); }
  Wavefronts& operator+=(const Wavefronts& other) {
    taken += other.taken;
    least += other.least;
    return *this;
  }
};

Wavefronts wavefronts_of(const WarpAccess& access);

}  // namespace bsq::cuda_on_host
