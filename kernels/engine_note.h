// How a backend runs what was planned on it: for logs, which tell one run from another.
#pragma once

#include "kernels/ops/convolution.h"

#include <cstddef>
#include <string>

namespace bsq {

/// One pass of a convolution.
struct EngineNote {
  ConvGeometry geometry;
  ConvPass pass = ConvPass::forward;
  std::string engine = {};          // what the library calls it: "cuDNN 40", "oneDNN jit:avx512_core", "own loops"
  std::string found_by = {};        // "heuristics", "fallback"; empty if there is no choice
  std::string numerics = {};        // the library's words for what it does to numbers, separated by commas; often none
  std::string behavior = {};        // the library's words for how it works
  std::size_t workspace_bytes = 0;  // scratch memory
  bool widens_operands = false;     // bf16 operands are copied to float32 first
};

}  // namespace bsq
