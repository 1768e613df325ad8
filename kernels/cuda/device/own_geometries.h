// Which convolutions have kernels of our own: said once, for the launchers and for bench/roofline_model.cpp, which
// counts the kernels of a step without a GPU.
#pragma once

#include "kernels/ops/convolution.h"

namespace bsq::cuda {

constexpr int kImageChannels = 3;  // what the kernel for the first convolution of a network, its stem, reads

/// Whether there is one, if the sizes fit (own_forward_serves() and its like in launchers.h ask that as well). All are
/// for bf16 and one group.
constexpr bool has_own_kernel(const ConvGeometry& g, ConvPass pass) {
  const bool is_3x3 = g.kernel == 3 && g.padding == 1;
  const bool is_1x1 = g.kernel == 1 && g.padding == 0;
  if (g.groups != 1 || g.dtype != DType::bf16 || !(is_3x3 || is_1x1) || g.stride < 1 || g.stride > 2) return false;
  if (pass == ConvPass::backward_weight) {
    if (is_1x1) return g.out_channels % 32 == 0 && g.in_channels % 16 == 0;
    return g.out_channels % 16 == 0 && (g.in_channels <= 8 || g.in_channels % 16 == 0);
  }
  const auto has_channels = [](int channels) { return channels == 16 || channels == 32 || channels == 64; };
  const bool is_stem = is_3x3 && g.stride == 1 && g.in_channels == kImageChannels;
  if (pass == ConvPass::forward && is_stem) return has_channels(g.out_channels);
  if (!has_channels(g.in_channels) || !has_channels(g.out_channels) || (is_1x1 && g.stride == 1)) return false;
  // In the forward pass a stride of 2 takes four times the source, for which there is no room.
  return pass == ConvPass::backward_data || is_1x1 || g.stride == 1 || g.in_channels < 64;
}

}  // namespace bsq::cuda
