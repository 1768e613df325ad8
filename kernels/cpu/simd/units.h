// What a stored 1 is worth.
#pragma once

#include "kernels/cpu/simd/lanes.h"
#include "kernels/types.h"

namespace bsq::BSQ_SIMD_NAMESPACE {

/// TensorUnit::value(), which must not be called from here, as it is an inline function.
BSQ_LANES_INLINE float value_of(const TensorUnit& unit) {
  return (unit.activation == nullptr ? 1.0F : *unit.activation) * (unit.weight == nullptr ? 1.0F : *unit.weight);
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
