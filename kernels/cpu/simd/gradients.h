// How a gradient is written: in place of what is there, or added to it.
#pragma once

#include "kernels/cpu/simd/lanes.h"
#include "kernels/types.h"

namespace bsq::BSQ_SIMD_NAMESPACE {

/// The first `count` lanes, or all of them where Full.
template <bool Full, typename T>
BSQ_LANES_INLINE void store_gradient(T* target, FloatLanes gradient, int count, GradMode mode) {
  if (mode == GradMode::accumulate) gradient += load_lanes<Full>(target, count);
  store_lanes<Full>(target, gradient, count);
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
