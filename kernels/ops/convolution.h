// Convolution, NHWC x OHWI -> NHWC, and the rounding of float weights for it.
#pragma once

#include "kernels/types.h"

#include <compare>

namespace bsq {

struct NormActForwardArgs;
struct NormActBackwardArgs;

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
/// `norm` are the arguments that norm_act_forward will get to read the output as its x; it may then be done in part:
/// see NormActForwardArgs::x_from.
struct ConvForwardArgs {
  ConvGeometry geometry;
  const void* input = nullptr;
  const void* weight = nullptr;
  void* output = nullptr;
  void* scratch = nullptr;
  const NormActForwardArgs* norm = nullptr;
  const NormActForwardArgs* input_norm = nullptr;
};

/// conv2d_backward_data. `norm` are the arguments that norm_act_backward will get for the norm_act that wrote the
/// input: its d_y is d_input as this call leaves it. It may then be done in part: see NormActBackwardArgs::d_y_from.
struct ConvBackwardDataArgs {
  ConvGeometry geometry;
  const void* d_output = nullptr;
  const void* weight = nullptr;
  void* d_input = nullptr;
  GradMode mode = GradMode::overwrite;
  void* scratch = nullptr;
  const NormActBackwardArgs* norm = nullptr;
};

/// conv2d_backward_weight: d_weight float32 [O, K, K, I / groups], overwritten.
/// `parts` is memory for Backend::gradient_parts() such tensors: the gradient is left there in so many parts, for
/// sum_gradient_parts(), and d_weight is not looked at.
struct ConvBackwardWeightArgs {
  ConvGeometry geometry;
  const void* input = nullptr;
  const void* d_output = nullptr;
  float* d_weight = nullptr;
  void* scratch = nullptr;
  float* parts = nullptr;
  const NormActForwardArgs* input_norm = nullptr;
};

/// A filter gradient in parts: their sum becomes d_weight, overwritten.
struct GradientParts {
  std::int64_t numel = 0;
  int count = 0;
  const float* parts = nullptr;  // [count][numel]
  float* d_weight = nullptr;
};

/// round_to_bf16: rounded [numel] bf16 = values, to nearest even: float weights as bf16 convolutions read them.
struct RoundToBf16Args {
  std::int64_t numel = 0;
  const float* values = nullptr;
  void* rounded = nullptr;
};

}  // namespace bsq
