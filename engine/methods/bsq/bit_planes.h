// The bit-plane algebra of one tensor on the host: conversions between its forms, re-quantization, dropping of planes.
//
// Layout: plane-major [bits][numel], plane 0 the most significant; the order of the elements is the caller's.
// A weight is s q, q = k / (2^bits - 1) with an integer level k in -(2^bits - 1) .. 2^bits - 1; p holds the bits of k >
// 0, n those of k < 0. Between re-quantizations planes are real numbers in [0, 2] and q is what they round to.
// Arithmetic is float32 in the order of the published PyTorch code, so that the same planes come out, ties included.
// Source: METHOD 1, 4 and 5. Planes that are not finite throw Error(diverged).
#pragma once

#include "engine/model/levels.h"

#include <cstdint>
#include <span>
#include <vector>

namespace bsq {

/// p and n: [bits][numel], bits in 1..8. u = sum_b c_b (p_b - n_b), c_b = 2^(bits-1-b) / (2^bits - 1).
struct BitPlanes {
  int bits = 0;
  float scale = 0;
  std::int64_t numel = 0;
  std::vector<float> p, n;
};

/// s = max|W|, k = round(|W| (2^bits - 1) / s). |W - effective weight| <= s / (2^bits - 1) / 2, up to float32 rounding.
/// A tensor of zeros gets scale 0 and so, its gradients being zero, stays what it is.
BitPlanes planes_from_float(std::span<const float> weights, int bits);

/// The bits of symmetric levels, their scale kept bit for bit; one empty plane if bits = 0.
BitPlanes planes_from_levels(const Levels& levels);

/// W_eff = s q, q = sign(v) round(|v| (2^bits - 1)) / (2^bits - 1), v = clamp(u, -1, 1).
std::vector<float> effective_weights(const BitPlanes& planes);

/// k of every weight: W_eff = s k / (2^bits - 1).
std::vector<int> integer_levels(const BitPlanes& planes);

/// Rounds the planes to the bits of k = round(u (2^bits - 1)). If some |k| needs one more bit, the tensor gets it, as
/// long as bits < max_bits (the scale follows); else |k| is clamped. Effective weights stay as they are, bit for bit,
/// unless the tensor grows: then a weight that the forward pass clamped shows its real value, and the others are
/// rounded anew (a few ulp).
void requantize(BitPlanes& planes, int max_bits);

/// Drops planes from both ends of re-quantized planes; at least `least_bits` stay. From the most significant side:
/// those of density 0, and those below the threshold, the last plane dropped (if it was one of these) being added to
/// every plane that stays. From the least significant side: those of density <= threshold. With threshold 0 the levels'
/// values stay, and so do the effective weights up to the rounding of the scale; exactly so if nothing is dropped.
void adjust_precision(BitPlanes& planes, double threshold_percent, int least_bits = 1);

/// Takes away the least significant of two planes or more: k becomes round(k / 2), at most the new largest level, of
/// twice the unit. Odd levels move by one of their old units, so that the squared change of the weights is
/// removal_cost() times the sum of their squares.
void remove_least_significant(BitPlanes& planes);
/// The number of odd k over the sum of k^2; 0 if all are 0.
double removal_cost(const BitPlanes& planes);

/// Lets p and n change places and the scale its sign: the same weights, and for training the same thing (bit for bit).
void turn(BitPlanes& planes);

/// Per plane, the percentage of entries with p_b - n_b other than zero.
std::vector<double> plane_density_percent(const BitPlanes& planes);

/// Whether p - n is zero everywhere.
bool is_empty(const BitPlanes& planes);

}  // namespace bsq
