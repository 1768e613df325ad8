// What quantized weights are made of, for logs: all tensors in one call.
#pragma once

#include "kernels/ops/bit_planes.h"
#include "kernels/ops/fixed_point.h"

namespace bsq {

/// The counts of one tensor.
struct WeightCounts {
  std::int64_t zeros = 0;                     // effective weights that are 0
  std::int64_t nans = 0;                      // weights without a level
  std::int64_t evens = 0;                     // weights of an even level
  std::array<std::int64_t, kMaxBits> ones{};  // per plane, the most significant first; 0 beyond the tensor's bits
  friend bool operator==(const WeightCounts&, const WeightCounts&) = default;
};

/// count_planes: counts[t] of every tensor, after the float32 arithmetic of kernels/published_rounding.h, to the bit:
/// zeros of the effective weights, even levels; ones of plane b if p_b - n_b is not 0. A weight is a NaN if its sum of
/// planes is.
struct PlaneCountArgs {
  DeviceTable<PlaneTensor> tensors;
  const float* planes = nullptr;
  const float* scales = nullptr;
  WeightCounts* counts = nullptr;  // [tensors]
};

/// count_fixed: the same of fixed-point weights; ones are the bits of a weight's level. Nothing but zeros if
/// bits = 0.
struct FixedCountArgs {
  DeviceTable<FixedTensor> tensors;
  const float* u = nullptr;
  const float* scales = nullptr;
  WeightCounts* counts = nullptr;  // [tensors]
};

}  // namespace bsq
