// How the three passes of a convolution are run by cuDNN, and what scratch memory they share.
#pragma once

#include "kernels/cuda/cudnn.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace bsq::cuda {

/// A pass without a plan is left to own loops. Scratch: the largest workspace; then a gradient that is added to
/// another, or the two operands of backward_weight in float32.
struct ConvolutionPlans {
  std::optional<ConvolutionPlan> forward, backward_data, backward_weight;
  bool widens_operands = false;   // backward_weight reads float32, and the tensors are bf16
  std::size_t result_offset = 0;  // bytes
  std::size_t second_offset = 0;  // bytes, of the widened d_output
  std::size_t scratch_bytes = 0;
  std::vector<std::string> without_engine;  // a sentence for each pass left to own loops
};

/// `allow_tf32`: float32 operands may be rounded to tf32.
ConvolutionPlans plan_convolution(const CudnnTarget& target, const ConvGeometry& geometry, bool allow_tf32);

}  // namespace bsq::cuda
