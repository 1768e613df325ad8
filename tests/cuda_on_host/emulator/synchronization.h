// Barriers, fences, shuffles and votes, as kernels call them.
//
// Of these only the barriers and __threadfence order memory, as CUDA has it: a shuffle or a vote does not.
#pragma once

#include "tests/cuda_on_host/emulator/scheduler.h"

#include <cstring>
#include <type_traits>

constexpr int warpSize = 32;

namespace bsq::cuda_on_host {

struct Shuffle {
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  int source = 0;
};

inline void compute_shuffle(void* const* slots, unsigned mask) {
  for (int l = 0; l < warpSize; ++l) {
    if ((mask >> l & 1) == 0) continue;
    auto* shuffle = static_cast<Shuffle*>(slots[l]);
    // What a device returns for a lane that takes no part is undefined: a NaN, so that it is seen.
    const bool takes_part = mask >> shuffle->source & 1;
    shuffle->out = takes_part ? static_cast<const Shuffle*>(slots[shuffle->source])->in : 0xFFC0DEADFFC0DEADULL;
  }
}

template <typename T>
T shuffle(const WarpOperation& operation, unsigned mask, T value, int source, Site site) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t) && std::is_trivially_copyable_v<T>);
  Shuffle slot{0, 0, source};
  std::memcpy(&slot.in, &value, sizeof value);
  warp_rendezvous(mask, &slot, operation, site);
  std::memcpy(&value, &slot.out, sizeof value);
  return value;
}

struct Vote {
  bool in = false;
  unsigned out = 0;
};

inline void compute_ballot(void* const* slots, unsigned mask) {
  unsigned ballot = 0;
  for (int l = 0; l < warpSize; ++l) {
    if (mask >> l & 1) ballot |= static_cast<unsigned>(static_cast<const Vote*>(slots[l])->in) << l;
  }
  for (int l = 0; l < warpSize; ++l) {
    if (mask >> l & 1) static_cast<Vote*>(slots[l])->out = ballot;
  }
}

inline unsigned ballot(const WarpOperation& operation, unsigned mask, bool predicate, Site site) {
  Vote slot{predicate, 0};
  warp_rendezvous(mask, &slot, operation, site);
  return slot.out;
}

inline constexpr WarpOperation kSyncWarp{"__syncwarp", nullptr, true};
inline constexpr WarpOperation kShuffle{"__shfl_sync", compute_shuffle};
inline constexpr WarpOperation kShuffleUp{"__shfl_up_sync", compute_shuffle};
inline constexpr WarpOperation kShuffleDown{"__shfl_down_sync", compute_shuffle};
inline constexpr WarpOperation kShuffleXor{"__shfl_xor_sync", compute_shuffle};
inline constexpr WarpOperation kBallot{"__ballot_sync", compute_ballot};
inline constexpr WarpOperation kAny{"__any_sync", compute_ballot};
inline constexpr WarpOperation kAll{"__all_sync", compute_ballot};

}  // namespace bsq::cuda_on_host

// ---- the block ------------------------------------------------------------------------------------------------------

inline void __syncthreads(bsq::cuda_on_host::Site site = bsq::cuda_on_host::Site::here()) {
  bsq::cuda_on_host::block_barrier(false, "__syncthreads", site);
}
inline int __syncthreads_count(int predicate, bsq::cuda_on_host::Site site = bsq::cuda_on_host::Site::here()) {
  return bsq::cuda_on_host::block_barrier(predicate != 0, "__syncthreads_count", site);
}
inline int __syncthreads_or(int predicate, bsq::cuda_on_host::Site site = bsq::cuda_on_host::Site::here()) {
  return bsq::cuda_on_host::block_barrier(predicate != 0, "__syncthreads_or", site) != 0;
}
inline int __syncthreads_and(int predicate, bsq::cuda_on_host::Site site = bsq::cuda_on_host::Site::here()) {
  return bsq::cuda_on_host::block_barrier(predicate == 0, "__syncthreads_and", site) == 0;
}
inline void __threadfence() {
  bsq::cuda_on_host::thread_fence();
}

// ---- the warp
// ---------------------------------------------------------------------------------------------------------

inline void __syncwarp(unsigned mask = ~0U, bsq::cuda_on_host::Site site = bsq::cuda_on_host::Site::here()) {
  bsq::cuda_on_host::warp_rendezvous(mask, nullptr, bsq::cuda_on_host::kSyncWarp, site);
}
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize,
              bsq::cuda_on_host::Site site = bsq::cuda_on_host::Site::here()) {
  using namespace bsq::cuda_on_host;
  return shuffle(kShuffle, mask, value, (lane() & ~(width - 1)) | (source & (width - 1)), site);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                 bsq::cuda_on_host::Site site = bsq::cuda_on_host::Site::here()) {
  using namespace bsq::cuda_on_host;
  const int source = lane() - static_cast<int>(delta);
  return shuffle(kShuffleUp, mask, value, source < (lane() & ~(width - 1)) ? lane() : source, site);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                   bsq::cuda_on_host::Site site = bsq::cuda_on_host::Site::here()) {
  using namespace bsq::cuda_on_host;
  const int source = lane() + static_cast<int>(delta);
  return shuffle(kShuffleDown, mask, value, source > (lane() | (width - 1)) ? lane() : source, site);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize,
                  bsq::cuda_on_host::Site site = bsq::cuda_on_host::Site::here()) {
  using namespace bsq::cuda_on_host;
  const int source = lane() ^ lane_mask;
  return shuffle(kShuffleXor, mask, value, source > (lane() | (width - 1)) ? lane() : source, site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              bsq::cuda_on_host::Site site = bsq::cuda_on_host::Site::here()) {
  return bsq::cuda_on_host::ballot(bsq::cuda_on_host::kBallot, mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate, bsq::cuda_on_host::Site site = bsq::cuda_on_host::Site::here()) {
  return bsq::cuda_on_host::ballot(bsq::cuda_on_host::kAny, mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, bsq::cuda_on_host::Site site = bsq::cuda_on_host::Site::here()) {
  return bsq::cuda_on_host::ballot(bsq::cuda_on_host::kAll, mask, predicate == 0, site) == 0;
}
