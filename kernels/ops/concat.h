// Concatenation along channels: one operation per input, which may be left out where the input lies in place already.
#pragma once

#include "kernels/types.h"

namespace bsq {

/// One input of a concatenation: rows are pixels (N*H*W), of which it has `channels` numbers each.
struct ConcatGeometry {
  std::int64_t rows = 0;
  int channels = 0;
  std::int64_t input_pitch = 0;   // numbers from one row of the input, and of its gradient, to the next
  std::int64_t output_pitch = 0;  // likewise of the output
  std::int64_t offset = 0;        // where in a row of the output the input's channels begin
  DType dtype = DType::f32;       // of all
};

/// concat_forward: output[row * output_pitch + offset + c] = unit input[row * input_pitch + c]; nothing else of the
/// output is touched. The two may be one buffer if what is read and what is written do not overlap.
struct ConcatForwardArgs {
  ConcatGeometry geometry;
  const void* input = nullptr;
  TensorUnit unit = {};
  void* output = nullptr;
};

/// concat_backward: d_input[row * input_pitch + c] = unit d_output[row * output_pitch + offset + c], with respect to
/// the stored input. Buffers as in forward.
struct ConcatBackwardArgs {
  ConcatGeometry geometry;
  const void* d_output = nullptr;
  TensorUnit unit = {};
  void* d_input = nullptr;
  GradMode mode = GradMode::overwrite;
};

}  // namespace bsq
