// Masks that are switched by hand when they harden, so that the bits come to the target (METHOD 14).
#pragma once

#include <span>
#include <vector>

namespace bsq {

/// Planes from the first to the last one that a mask selects, which is what a file stores: [first, first + bits).
struct MaskSpan {
  int first = 0;
  int bits = 0;
};

/// Whether a mask selects its plane; one of 0 does so while masks are soft.
constexpr bool selects(float mask, bool is_soft) {
  return mask > 0 || (is_soft && mask == 0);
}
/// `masks`: the most significant plane first. `fixed`: all planes count, whatever their masks.
MaskSpan span_of(std::span<const float> masks, bool fixed, bool is_soft = false);

/// The masks of one tensor.
struct TensorMasks {
  std::vector<float> masks;
  double share = 0;    // what a bit of the tensor adds to the average
  bool fixed = false;  // its masks stay
};

/// The bits per weight of all of them; a tensor without any counts as one bit.
double average_bits(const std::vector<TensorMasks>& tensors);
/// Turns masks around at the ends of spans, those nearest to 0 first, as long as the average comes nearer to the
/// target. The last plane of a tensor stays. Returns how many were switched off, and on. Done twice nothing changes.
struct SwitchedMasks {
  int off = 0, on = 0;
};
SwitchedMasks settle_masks(std::vector<TensorMasks>& tensors, double target);

}  // namespace bsq
