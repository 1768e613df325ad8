// How the oracle touches activations: one element at a time, whatever the dtype, in double, rounded once when stored.
#pragma once

#include "kernels/bf16.h"
#include "kernels/types.h"

namespace bsq::reference {

inline double load(DType dtype, const void* data, std::int64_t index) {
  if (dtype == DType::bf16) return to_float(static_cast<const bfloat16*>(data)[index]);
  return static_cast<const float*>(data)[index];
}

inline void store(DType dtype, void* data, std::int64_t index, double value) {
  const auto rounded = static_cast<float>(value);
  if (dtype == DType::bf16) {
    static_cast<bfloat16*>(data)[index] = to_bfloat16(rounded);
  } else {
    static_cast<float*>(data)[index] = rounded;
  }
}

inline void store_gradient(DType dtype, void* data, std::int64_t index, double value, GradMode mode) {
  store(dtype, data, index, mode == GradMode::accumulate ? load(dtype, data, index) + value : value);
}

}  // namespace bsq::reference
