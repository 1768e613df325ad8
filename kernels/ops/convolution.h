// Convolution, NHWC x OHWI -> NHWC, and the rounding of float weights for it.
#pragma once

#include "kernels/types.h"

#include <compare>

namespace bsq {

/// A 2-D convolution with square filters and equal stride and padding on both axes. With groups, output channel o reads
/// the input channels [o / (O/g) * I/g, ...) of its group, I/g of them: groups = I = O is a depthwise convolution.
struct ConvGeometry {
  int batch = 0;
  int height = 0;
  int width = 0;
  int in_channels = 0;
  int out_channels = 0;
  int kernel = 3;
  int stride = 1;
  int padding = 1;
  DType dtype = DType::f32;  // of input, weights, output and gradients; d_weight is float32 always
  int groups = 1;            // divides both numbers of channels

  constexpr int group_inputs() const { return in_channels / groups; }  // channels of each group
  constexpr int group_outputs() const { return out_channels / groups; }
  constexpr int out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  constexpr int out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
  constexpr Shape input_shape() const { return {batch, height, width, in_channels}; }
  constexpr Shape output_shape() const { return {batch, out_height(), out_width(), out_channels}; }
  constexpr Shape weight_shape() const { return {out_channels, kernel, kernel, group_inputs()}; }
  /// Multiply-adds count two; padding counts.
  constexpr double flops() const {
    return 2.0 * static_cast<double>(output_shape().numel()) * kernel * kernel * group_inputs();
  }
  friend constexpr auto operator<=>(const ConvGeometry&, const ConvGeometry&) = default;
};

/// The passes of a convolution: the output, the gradient of the input, the gradient of the weights.
enum class ConvPass : std::uint8_t { forward, backward_data, backward_weight };

constexpr const char* name_of(ConvPass pass) {
  constexpr const char* names[] = {"forward", "backward data", "backward weight"};
  return names[static_cast<int>(pass)];
}

/// A set of passes.
struct ConvPasses {
  bool forward = true;
  bool backward_data = true;
  bool backward_weight = true;

  constexpr bool contains(ConvPass pass) const {
    return pass == ConvPass::forward ? forward : pass == ConvPass::backward_data ? backward_data : backward_weight;
  }
};

constexpr ConvPasses kAllPasses{};
constexpr ConvPasses kForwardPass{true, false, false};

/// A convolution that will be run, and so has to be planned. conv2d_scratch_bytes: enough for any of `passes`, which it
/// plans if plan_convolutions() has not.
struct ConvRequest {
  ConvGeometry geometry;
  ConvPasses passes;
};

/// conv2d_forward. A pass that has not been planned is refused, here and below. With dtype bf16 all three passes
/// multiply bf16 operands, weights included, and accumulate in float32: integer levels whose sums stay below 2^24 give
/// exactly their integer convolution.
struct ConvForwardArgs {
  ConvGeometry geometry;
  const void* input = nullptr;
  const void* weight = nullptr;
  void* output = nullptr;
  void* scratch = nullptr;
};

/// conv2d_backward_data.
struct ConvBackwardDataArgs {
  ConvGeometry geometry;
  const void* d_output = nullptr;
  const void* weight = nullptr;
  void* d_input = nullptr;
  GradMode mode = GradMode::overwrite;
  void* scratch = nullptr;
};

/// conv2d_backward_weight: d_weight float32 [O, K, K, I / groups], overwritten.
struct ConvBackwardWeightArgs {
  ConvGeometry geometry;
  const void* input = nullptr;
  const void* d_output = nullptr;
  float* d_weight = nullptr;
  void* scratch = nullptr;
};

/// round_to_bf16: rounded [numel] bf16 = values, to nearest even: float weights as bf16 convolutions read them.
struct RoundToBf16Args {
  std::int64_t numel = 0;
  const float* values = nullptr;
  void* rounded = nullptr;
};

}  // namespace bsq
