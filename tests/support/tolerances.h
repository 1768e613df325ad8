// The table of tolerances, by the dtype of what is compared. They are relative to the larger of the element and the
// root mean square of its tensor, so that a sum that happens to cancel is not held to the tiny size of its result.
#pragma once

#include "kernels/types.h"

namespace bsq::test {

constexpr double relative_tolerance(DType dtype) {
  switch (dtype) {
    case DType::u8:
    case DType::i32:
    case DType::i64: return 0;      // labels, counts, levels, schemes: nothing rounds
    case DType::f32: return 1e-5;   // 24 bits; sums of up to 10^5 terms in blocks, in any order
    case DType::bf16: return 1e-2;  // 8 bits: an ulp is at most 1/128, and a tie may fall either way
    case DType::f64: return 1e-5;   // metrics: double sums of what was computed in float
  }
  return 0;
}

/// The tolerance of a filter gradient of bf16 tensors by tensor cores, which is a sum over `pixels` in float32. Tensor
/// cores cut off bits when they add, and so lose up to a unit of the last of 24 bits at each of the steps that a sum
/// takes, eight products or more at a time; all to the same side, so that the losses do not cancel. A CPU and the
/// emulation of CUDA round, and are held to what float32 gives.
constexpr double tensor_core_tolerance(std::int64_t pixels) {
  const double lost = static_cast<double>(pixels) / 8 / (1 << 24);
  return lost > relative_tolerance(DType::f32) ? lost : relative_tolerance(DType::f32);
}

/// How far from a rounding boundary, in levels, two right answers can still land on different levels: the float32 error
/// of the value (about 1e-6 of a range of at most 255 levels), and as much for the scale.
constexpr double boundary_margin_levels = 1e-3;

/// Values are spread evenly over the levels, so about 2 * boundary_margin_levels of them lie at a boundary; more than
/// half of that landing on another level is no accident.
constexpr double boundary_fraction_limit = 1e-3;

}  // namespace bsq::test
