// Which convolutions stand beside which norms, so that a backend may do a part of the norm while it runs the
// convolution (NormActForwardArgs::x_from, NormActForwardArgs::read_by,
// NormActBackwardArgs::d_y_from).
#pragma once

#include "engine/network/network.h"

#include <vector>

namespace bsq {

/// Numbers of nodes, by node; -1: none.
struct NormPairs {
  // Forward: a convolution, and the norm that reads its output.
  std::vector<int> norm_behind;  // of the convolution
  std::vector<int> conv_before;  // of the norm
  // Forward: a norm, and the convolution that alone reads its output.
  std::vector<int> input_norm;   // of the convolution
  std::vector<int> only_reader;  // of the norm
  // Backward: a norm, and the convolution that is the last to visit the gradient of its output.
  std::vector<int> norm_before;  // of the convolution
  std::vector<int> conv_behind;  // of the norm
};

/// Pairs of training; `owners` as tensor_owners() has them. No convolution and no norm is in two pairs of a direction.
NormPairs find_norm_pairs(const Network& network, const std::vector<TensorId>& owners);

}  // namespace bsq
