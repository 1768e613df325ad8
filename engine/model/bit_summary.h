// What a scheme costs: bits of every tensor and the compression ratio in its honest forms.
//
// The published ratio is 32 P / sum_l numel_l n_l over the P quantizable parameters: it leaves out the sign, the
// shortcut convolutions, batch norm and the scales, and counts an empty layer as 1 bit per weight, here in every form
// of the weights, so that stages compare. Every other ratio is given beside it.
// Papers count bits each in their own way: BSQ without the sign, LSQ with it. So methods are compared by stored bits:
// what a file needs for the P parameters, signs and a scale per tensor included, of an empty one its scale alone.
#pragma once

#include "engine/model/stored_weights.h"
#include "engine/network/network.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

struct TensorBits {
  std::string name;  // parameter: layer1.0.conv1.weight
  std::vector<std::int64_t> shape;
  std::int64_t numel = 0;
  int bits = 0;        // stored planes; 0 for a pruned fixed-point tensor; 32 in float
  bool empty = false;  // every weight is zero
  bool odd = false;    // every level is odd, so that a file needs no signs
  bool fixed = false;  // its bits never change
  /// Of the weights of a layer: bits of the integers that it reads, 0 if it reads float numbers.
  std::optional<int> input_bits;
  double scale = 0;
  double zero_percent = 0;                    // effective weights that are exactly zero
  std::vector<double> plane_density_percent;  // ones of each plane, most significant first; empty in float

  /// What a file needs for it: planes, signs (of odd levels none) and its scale; of an empty tensor the scale alone.
  std::int64_t stored_bits() const;
};

/// A parameter or a running statistic that stays float.
struct FloatTensor {
  std::string name;
  Role role = Role::weight;
  std::int64_t numel = 0;
};

struct BitSummary {
  std::vector<TensorBits> tensors;
  std::vector<FloatTensor> float_tensors;  // if the network is known
  std::int64_t parameters = 0;             // P, quantizable
  std::int64_t float_parameters = 0;       // shortcut convolutions, batch norm, PACT: always 32 bits
  std::int64_t weight_bits = 0;            // sum numel * max(bits, 1), the paper's count
  std::int64_t stored_bits = 0;            // of the P: planes, a sign each, a scale per tensor; of empty ones the scale
  std::int64_t packed_bytes = 0;           // sign and planes bit-packed, one scale per tensor, the rest in float32
  std::int64_t float_bytes = 0;            // the same network in float32

  /// Whether any tensor has fewer bits than float32.
  bool is_quantized() const;
  double bits_per_parameter() const;
  /// What a file needs, whatever a method's paper counts: methods are compared by it.
  double stored_bits_per_parameter() const;
  /// The paper's rule.
  double compression() const;
  /// The paper's rule, but with empty tensors at 0 bits.
  double compression_without_empty() const;
  /// Everything counted: sign bits, scales and all parameters that stay float. Never infinite.
  double compression_on_disk() const;
};

/// float_parameters: how many numbers of the model stay float (with running statistics).
BitSummary summarize_bits(const std::vector<TensorCounts>& counts, const ArenaLayout& layout,
                          std::int64_t float_parameters);
BitSummary summarize_bits(const StoredWeights& weights, const ArenaLayout& layout, std::int64_t float_parameters);
/// The same, with layout, float parameters and inputs as the network has them.
BitSummary summarize_bits(const std::vector<TensorCounts>& counts, const Network& network);
BitSummary summarize_bits(const StoredWeights& weights, const Network& network);

}  // namespace bsq
