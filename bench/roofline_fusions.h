// What of a step is done on the way: gradients that are added to others, and sums that our own convolutions leave for
// the norms beside them.
#pragma once

#include "engine/network/norm_pairs.h"
#include "kernels/ops/convolution.h"

#include <cstddef>
#include <vector>

namespace bsq::bench {

/// Which of a node's inputs get a gradient by addition: the ones that a later node has already given one.
std::vector<std::vector<bool>> accumulations(const Network& network);

/// Which of our own kernels leave what a norm needs to know of a tensor, so that it has no pass for it.
class LeftSums {
 public:
  /// `network` and `tensors`, those of a batch, must outlive it.
  LeftSums(const Network& network, const std::vector<TensorSpec>& tensors, const std::vector<TensorId>& owners);

  /// Of a norm: the statistics of what it reads.
  bool of_input(std::size_t norm) const { return is_own(pairs_.conv_before[norm], ConvPass::forward); }
  /// Of a norm: the sums over the gradient of what it writes.
  bool of_gradient(std::size_t norm) const { return is_own(pairs_.conv_behind[norm], ConvPass::backward_data); }
  bool has_conv_behind(std::size_t norm) const { return pairs_.conv_behind[norm] >= 0; }
  /// Of a convolution: the norm that its data gradient may know of, or -1.
  int norm_before(std::size_t conv) const { return pairs_.norm_before[conv]; }

 private:
  bool is_own(int node, ConvPass pass) const;

  const Network& network_;
  const std::vector<TensorSpec>& tensors_;
  NormPairs pairs_;
};

}  // namespace bsq::bench
