// Which layers read integers: where quantized activations reach, and how far sums of them are exact (METHOD 9).
#pragma once

#include "engine/network/network.h"

#include <string>
#include <vector>

namespace bsq {

/// Of the nodes in their order: bits of the levels that the first input holds, integers whoever has passed them on, or
/// levels from an offset on (OutputQuantizer) by the node before; 0: it holds float numbers.
std::vector<int> input_bits(const Network& network);

/// A convolution of integers whose sums float32 may have to round.
struct InexactSums {
  std::string node;
  double largest = 0;  // kernel^2 C_in / groups (2^n - 1) (2^a - 1), at least 2^24
};

/// weight_bits: of the quantized parameters in their order, beyond 8 for those that are no integers.
std::vector<InexactSums> inexact_sums(const Network& network, const std::vector<int>& weight_bits);

}  // namespace bsq
