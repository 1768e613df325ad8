#include "engine/network/layers/conv2d.h"

#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {

ConvGeometry Conv2d::geometry(const Shape& input, DType dtype) const {
  require(input.rank == 4 && input[3] == options_.in_channels, "conv2d: wants [N, H, W, {}]", options_.in_channels);
  require(options_.groups > 0 && options_.in_channels % options_.groups == 0 &&
              options_.out_channels % options_.groups == 0,
          "conv2d: {} groups of {} to {} channels", options_.groups, options_.in_channels, options_.out_channels);
  return {.batch = static_cast<int>(input[0]),
          .height = static_cast<int>(input[1]),
          .width = static_cast<int>(input[2]),
          .in_channels = options_.in_channels,
          .out_channels = options_.out_channels,
          .kernel = options_.kernel,
          .stride = options_.stride,
          .padding = options_.padding,
          .dtype = dtype,
          .groups = options_.groups};
}

TensorSpec Conv2d::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() == 1, "conv2d takes one input");
  return {geometry(inputs[0].shape, inputs[0].dtype).output_shape(), inputs[0].dtype};
}

std::optional<ConvRequest> Conv2d::convolution(std::span<const TensorSpec> inputs, const LayerUse& use) const {
  return ConvRequest{.geometry = geometry(inputs[0].shape, inputs[0].dtype),
                     .passes = {.backward_data = use.backward && use.input_gradients, .backward_weight = use.backward}};
}

LayerMemory Conv2d::plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& use) const {
  const ConvRequest request = *convolution(inputs, use);
  return {.scratch_bytes = backend.conv2d_scratch_bytes(request)};
}

double Conv2d::flops(std::span<const TensorSpec> inputs) const {
  return geometry(inputs[0].shape, inputs[0].dtype).flops();
}

TensorUnit Conv2d::output_unit(std::span<const TensorView> inputs, const ParameterMemory& parameters,
                               float* /*own*/) const {
  const TensorView& weight = parameters.values[weight_];
  require(weight.dtype == inputs[0].dtype, "conv2d: filters in {}, input in {}", name_of(weight.dtype),
          name_of(inputs[0].dtype));
  require(inputs[0].unit.weight == nullptr,
          "conv2d: a convolution's output needs a norm_act or bias_act before the next one");
  return {inputs[0].unit.activation, weight.unit.weight};
}

void Conv2d::forward(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  pass.backend.conv2d_forward({geometry(x.shape, x.dtype), x.data, pass.parameters.values[weight_].data,
                               pass.output.data, pass.scratch, pass.norm, pass.input_norm});
}

void Conv2d::backward(const BackwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  const ConvGeometry shape = geometry(x.shape, x.dtype);
  pass.backend.conv2d_backward_weight({shape, x.data, pass.d_output.data, pass.parameters.gradients[weight_],
                                       pass.scratch, pass.gradient_parts, pass.input_norm});
  if (pass.d_inputs[0].data == nullptr) return;
  pass.backend.conv2d_backward_data({shape, pass.d_output.data, pass.parameters.values[weight_].data,
                                     pass.d_inputs[0].data, pass.modes[0], pass.scratch, pass.norm});
}

std::unique_ptr<Layer> make_conv2d(const LayerRequest& request) {
  constexpr int kMostChannels = 1 << 16, kMostPixels = 1 << 10;
  request.want_inputs(1, 1);
  const Shape& x = request.image(0);
  NodeOptions options = request.options();
  Conv2dOptions conv{.in_channels = static_cast<int>(x[3]), .out_channels = options.integer("out", 1, kMostChannels)};
  conv.kernel = options.integer("kernel", 1, kMostPixels, conv.kernel);
  conv.stride = options.integer("stride", 1, kMostPixels, conv.stride);
  conv.padding = options.integer("padding", 0, conv.kernel - 1, conv.kernel / 2);
  conv.groups = options.integer("groups", 1, kMostChannels, conv.groups);
  const bool quantized = options.flag("quantized", false);
  options.flag("projection", false);  // has been decided about
  const bool bias = options.flag("bias", false);
  const bool bias_quantized = options.flag("bias_quantized", bias && quantized);
  if (bias_quantized && !bias) options.refuse("bias_quantized", "needs bias: true");
  const bool he = options.one_of("initializer", {"he_fan_out", "torch_default"}, "he_fan_out") == "he_fan_out";
  const bool zero_bias =
      options.one_of("bias_initializer", {"zero", "torch_default"}, he ? "zero" : "torch_default") == "zero";
  options.finish();
  if (conv.in_channels % conv.groups != 0 || conv.out_channels % conv.groups != 0)
    options.refuse("groups", fmt::format("{} do not divide {} channels in and {} out; use a divisor of both",
                                         conv.groups, conv.in_channels, conv.out_channels));
  if (std::min(x[1], x[2]) + 2 * conv.padding < conv.kernel)
    options.refuse("kernel", fmt::format("{} is larger than the image of {}x{} it reads", conv.kernel, x[1], x[2]));
  const std::int64_t group_inputs = conv.in_channels / conv.groups;
  ParameterSpec spec{.name = request.node.name + ".weight",
                     .shape = {conv.out_channels, conv.kernel, conv.kernel, group_inputs},
                     .group = quantized ? ParameterGroup::quantized : ParameterGroup::plain,
                     .initializer = he ? Initializer::he_fan_out : Initializer::torch_default,
                     .fan_in = group_inputs * conv.kernel * conv.kernel};
  const ParameterId weight = request.network.add_parameter(spec);
  if (!bias) return std::make_unique<Conv2d>(conv, weight);
  spec.name = request.node.name + ".bias";
  spec.shape = {conv.out_channels};
  spec.group = bias_quantized ? ParameterGroup::quantized : ParameterGroup::plain;
  spec.initializer = zero_bias ? Initializer::constant : Initializer::torch_default;
  spec.role = Role::bias;
  return std::make_unique<Conv2d>(conv, weight, request.network.add_parameter(spec));
}

}  // namespace bsq
