// Flat arrays, sixteen elements at a time, chunks in parallel.
#pragma once

#include "kernels/cpu/simd/lanes.h"

namespace bsq::BSQ_SIMD_NAMESPACE {

constexpr std::int64_t kFlatChunk = 16384;  // elements of one unit of parallel work

/// Calls body(first element, lanes in use) for every sixteen elements, chunks in parallel.
template <typename Body>
BSQ_LANES_INLINE void parallel_lanes(std::int64_t numel, Body body) {
#pragma omp parallel for schedule(static)
  for (std::int64_t begin = 0; begin < numel; begin += kFlatChunk) {
    const std::int64_t end = begin + kFlatChunk < numel ? begin + kFlatChunk : numel;
    std::int64_t index = begin;
    for (; index + kLanes <= end; index += kLanes) body.template operator()<true>(index, kLanes);
    if (index < end) body.template operator()<false>(index, static_cast<int>(end - index));
  }
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
