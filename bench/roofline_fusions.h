// What of a step is done on the way: gradients that are added to others, and what our own convolutions do of
// the norms beside them.
#pragma once

#include "bench/roofline_model.h"
#include "engine/network/norm_pairs.h"
#include "kernels/ops/convolution.h"

#include <cstddef>
#include <vector>

namespace bsq::bench {

/// Which of a node's inputs get a gradient by addition: the ones that a later node has already given one.
std::vector<std::vector<bool>> accumulations(const Network& network);

/// What our own kernels do of a norm, so that it has no pass for it: they leave what it needs to know of a tensor, or
/// make its output of what it reads.
class NormsOnTheWay {
 public:
  /// `network` and `tensors`, those of a batch, must outlive it.
  NormsOnTheWay(const Network& network, const std::vector<TensorSpec>& tensors, const std::vector<TensorId>& owners,
                Fusion made);

  /// Of a norm: the statistics of what it reads.
  bool of_input(std::size_t norm) const {
    return made_ >= Fusion::statistics && is_own(pairs_.conv_before[norm], ConvPass::forward);
  }
  /// Of a norm: the sums over the gradient of what it writes.
  bool of_gradient(std::size_t norm) const {
    return made_ >= Fusion::gradient_sums && is_own(pairs_.conv_behind[norm], ConvPass::backward_data);
  }
  /// Of a norm: whether the convolution behind it makes the norm's output, which nobody writes.
  bool output_is_made(std::size_t norm) const;
  bool has_conv_behind(std::size_t norm) const { return pairs_.conv_behind[norm] >= 0; }
  /// Of a convolution: the norm before it, whose sums its data gradient may leave, or -1.
  int norm_before(std::size_t conv) const { return pairs_.norm_before[conv]; }
  bool leaves_sums() const { return made_ >= Fusion::gradient_sums; }

 private:
  bool is_own(int node, ConvPass pass) const;

  const Network& network_;
  const std::vector<TensorSpec>& tensors_;
  NormPairs pairs_;
  Fusion made_;
};

}  // namespace bsq::bench
