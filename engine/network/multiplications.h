// What a network multiplies: by which weights, how often, and with how many bits on the other side.
#pragma once

#include "engine/network/network.h"

#include <cstddef>
#include <optional>
#include <vector>

namespace bsq {

/// A node that multiplies its input with a weight.
struct Multiplication {
  std::size_t node = 0;
  ParameterId weight = 0;
  double macs = 0;     // multiply-adds of one image
  int input_bits = 0;  // of the levels that it reads; 0: it reads float numbers

  /// Those of one image per bit of the weight: float numbers count as 32 bits.
  double bit_operations() const { return macs * (input_bits == 0 ? 32 : input_bits); }
};

/// The parameter that a node multiplies its input with; nothing if it does not.
std::optional<ParameterId> weight_of(const Node& node, const std::vector<ParameterSpec>& parameters);

/// In the order of the nodes.
std::vector<Multiplication> multiplications(const Network& network);

/// The layout of the quantized parameters (lay_out), with the bit operations of each and Network::packed_rest.
ArenaLayout lay_out_quantized(const Network& network, DType filter_dtype = DType::f32, const NoDecay& no_decay = {});

}  // namespace bsq
