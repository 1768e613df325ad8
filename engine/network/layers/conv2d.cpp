#include "engine/network/layers/conv2d.h"

#include "kernels/base/error.h"

namespace bsq {

ConvGeometry Conv2d::geometry(const Shape& input, DType dtype) const {
  require(input.rank == 4 && input[3] == options_.in_channels, "conv2d: wants [N, H, W, {}]", options_.in_channels);
  return {.batch = static_cast<int>(input[0]),
          .height = static_cast<int>(input[1]),
          .width = static_cast<int>(input[2]),
          .in_channels = options_.in_channels,
          .out_channels = options_.out_channels,
          .kernel = options_.kernel,
          .stride = options_.stride,
          .padding = options_.padding,
          .dtype = dtype};
}

TensorSpec Conv2d::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() == 1, "conv2d takes one input");
  return {geometry(inputs[0].shape, inputs[0].dtype).output_shape(), inputs[0].dtype};
}

std::optional<ConvRequest> Conv2d::convolution(std::span<const TensorSpec> inputs, const LayerUse& use) const {
  return ConvRequest{.geometry = geometry(inputs[0].shape, inputs[0].dtype),
                     .passes = {.backward_data = use.backward && use.input_gradients, .backward_weight = use.backward},
                     .runs_often = use.often};
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
  require(inputs[0].unit.weight == nullptr, "conv2d: a convolution's output needs a norm before the next one");
  return {inputs[0].unit.activation, weight.unit.weight};
}

void Conv2d::forward(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  pass.backend.conv2d_forward(
      {geometry(x.shape, x.dtype), x.data, pass.parameters.values[weight_].data, pass.output.data, pass.scratch});
}

void Conv2d::backward(const BackwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  const ConvGeometry shape = geometry(x.shape, x.dtype);
  pass.backend.conv2d_backward_weight(
      {shape, x.data, pass.d_output.data, pass.parameters.gradients[weight_], pass.scratch});
  if (pass.d_inputs[0].data == nullptr) return;
  pass.backend.conv2d_backward_data({shape, pass.d_output.data, pass.parameters.values[weight_].data,
                                     pass.d_inputs[0].data, pass.modes[0], pass.scratch});
}

}  // namespace bsq
