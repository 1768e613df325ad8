// How a backend runs what was planned on it: for logs, so that a run can be told from another one.
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
  std::string numerics = {};        // the library's words for what it does to numbers, comma between; often none
  std::string behavior = {};        // likewise, for how it works
  std::size_t workspace_bytes = 0;  // of the scratch memory
  bool widens_operands = false;     // bf16 operands are copied to float32 first
};

}  // namespace bsq
