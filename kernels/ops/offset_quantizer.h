// The quantizer of LSQ+: levels from a learned offset on, for numbers of either sign (METHOD 6).
#pragma once

#include "kernels/types.h"

namespace bsq {

/// offset_quantizer_scratch_bytes: of backward.
struct OffsetQuantizerGeometry {
  std::int64_t numel = 0;
  DType dtype = DType::f32;  // of input, output and gradients
  int bits = 0;              // n, 1 to 8: levels 0 .. N = 2^n - 1
};

/// Both [1], in device memory; the step is above 0.
struct OffsetQuantizerParameters {
  const float* step = nullptr;
  const float* offset = nullptr;
};

/// offset_quantizer_forward: v = (x - offset) / step, k = round(min(max(v, 0), N)), y = step k + offset. All is float32
/// and every operation rounds once, so that every device finds the same levels; y is then stored in the type of the
/// geometry. A NaN stays one.
struct OffsetQuantizerForwardArgs {
  OffsetQuantizerGeometry geometry;
  OffsetQuantizerParameters parameters;
  const void* input = nullptr;
  void* output = nullptr;
};

/// offset_quantizer_backward, straight through the rounding, with v and k as in forward: d_input = dy where
/// 0 <= v <= N, else 0; d_step = gain sum dy (v < 0 ? 0 : v > N ? N : k - v); d_offset = gain (sum dy where v < 0 or
/// v > N). Both sums are overwritten.
struct OffsetQuantizerBackwardArgs {
  OffsetQuantizerGeometry geometry;
  OffsetQuantizerParameters parameters;
  float gain = 1;
  const void* input = nullptr;
  const void* d_output = nullptr;
  void* d_input = nullptr;
  float* d_step = nullptr;    // [1]
  float* d_offset = nullptr;  // [1]
  void* scratch = nullptr;
  GradMode mode = GradMode::overwrite;
};

}  // namespace bsq
