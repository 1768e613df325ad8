// Weights on a grid: what every quantized form can be turned into and made from.
//
// A weight is unit k with an integer level k, low <= k <= high. The symmetric grid is that of METHOD 1: levels
// -(2^bits - 1) .. 2^bits - 1 of a tensor whose largest weight is `scale`. Elements are in memory order (OHWI).
// Arithmetic is float32 in the order of the published PyTorch code, so that the same levels come out, ties included.
#pragma once

#include "kernels/types.h"

#include <span>
#include <vector>

namespace bsq {

struct Levels {
  int bits = 0;  // 1..8; 0: the tensor is zero and has no bits
  int low = 0;
  int high = 0;
  std::vector<double> unit;  // [1], or one per output channel; double, so that a float32 scale comes back from it
  std::vector<int> k;
};

/// Whether the grid has a level more below: -2^bits .. 2^bits - 1, as LSQ's has on request (METHOD 13).
bool is_lopsided(const Levels& levels);
/// Levels of the symmetric grid: unit = scale / (2^bits - 1), or the scale itself if there are no bits.
Levels symmetric_levels(int bits, float scale, std::vector<int> k);
/// Whether no level is even: then k = 2 j - (2^bits - 1), and j takes as many bits as a magnitude, without a sign.
bool are_odd(std::span<const int> levels);
/// The scale that symmetric levels were made with, bit for bit: the largest weight. Of a lopsided grid the magnitude of
/// its least, 2^bits units.
float scale_of(const Levels& levels);

/// u (2^bits - 1), rounded half to even. Throws Error(diverged) beyond twice the largest level, and for a NaN.
int nearest_level(float u, int bits);
/// round(clamp(u, -1, 1) (2^bits - 1)).
std::vector<int> clamped_levels(std::span<const float> u, int bits);
/// k / (2^bits - 1), which rounds back to k.
std::vector<float> on_grid(std::span<const int> levels, int bits);
/// What layers read of such levels: scale (k / (2^bits - 1)), rounded twice; 0 if bits = 0.
std::vector<float> grid_weights(std::span<const int> levels, int bits, float scale);

}  // namespace bsq
