// Quantized weights as files of other programs want them: integers, and the scale of their tensor.
//
// W = scale k / (2^bits - 1), k in -(2^bits - 1) .. 2^bits - 1; of a lopsided tensor W = scale k / 2^bits, k in -2^bits
// .. 2^bits - 1. Elements in PyTorch's order (OIHW).
#pragma once

#include "engine/model/stored_weights.h"

#include <string>
#include <vector>

namespace bsq {

struct IntegerTensor {
  std::string name;                 // the parameter's: layer1.0.conv1.weight
  std::vector<std::int64_t> shape;  // of a file
  int bits = 0;                     // 0..8
  float scale = 0;
  std::vector<int> levels;  // k
  bool is_lopsided = false;

  bool is_empty() const;  // nothing but zeros
  int high() const { return (1 << bits) - 1; }
  int low() const { return is_lopsided ? -high() - 1 : -high(); }
  /// What a level of 1 is worth: scale / (2^bits - 1), of a lopsided tensor scale / 2^bits; scale itself if there are
  /// no bits.
  float unit() const;
};

/// One entry per slot of the layout. Weights on no grid have no integers: Error(internal).
std::vector<IntegerTensor> integer_weights(const StoredWeights& weights, const ArenaLayout& layout);

}  // namespace bsq
