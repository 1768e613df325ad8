// Which convolutions have kernels of our own: said once, for what launches them and for bench/roofline_model.cpp, which
// counts the kernels of a step without a GPU.
#pragma once

#include "kernels/ops/convolution.h"

namespace bsq::cuda {

/// Whether there is one, if the sizes fit (own_forward_serves() and its like in launchers.h ask that as well). All are
/// for bf16.
constexpr bool has_own_kernel(const ConvGeometry& g, ConvPass pass) {
  if (g.dtype != DType::bf16) return false;
  const bool is_3x3 = g.kernel == 3 && g.padding == 1;
  const bool is_1x1 = g.kernel == 1 && g.padding == 0;
  if (pass == ConvPass::backward_weight) {
    if (g.stride < 1 || g.stride > 2) return false;
    if (is_1x1) return g.out_channels % 32 == 0 && g.in_channels % 16 == 0;
    return is_3x3 && g.out_channels % 16 == 0 && (g.in_channels <= 8 || g.in_channels % 16 == 0);
  }
  const auto has_channels = [](int channels) { return channels == 16 || channels == 32 || channels == 64; };
  return is_3x3 && g.stride == 1 && has_channels(g.in_channels) && has_channels(g.out_channels);
}

}  // namespace bsq::cuda
