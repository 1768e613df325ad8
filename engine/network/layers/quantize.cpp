#include "engine/network/layers/quantize.h"

#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

#include <cmath>

namespace bsq {
namespace {

constexpr float kInitialReach = 3.0F;  // to both sides of 0, until the first images have been seen

double levels_of(int bits) {
  return (1 << bits) - 1;
}

/// As that of an LSQ ceiling, of the step itself.
float gradient_gain(const Shape& x, int bits) {
  const double numbers_of_image = static_cast<double>(x.numel() / x[0]);
  return static_cast<float>(1 / std::sqrt(numbers_of_image * levels_of(bits)));
}

}  // namespace

OffsetQuantizerGeometry Quantize::geometry(const Shape& input, DType dtype) const {
  return {input.numel(), dtype, options_.bits};
}

OffsetQuantizerParameters Quantize::parameters_in(const ParameterMemory& memory) const {
  return {memory.values[static_cast<std::size_t>(options_.step)].as<float>(),
          memory.values[static_cast<std::size_t>(options_.offset)].as<float>()};
}

TensorSpec Quantize::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() == 1, "quantize takes one input");
  return inputs[0];
}

LayerMemory Quantize::plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& use) const {
  if (!use.backward) return {};
  return {.scratch_bytes = backend.offset_quantizer_scratch_bytes(geometry(inputs[0].shape, inputs[0].dtype))};
}

std::optional<OutputQuantizer> Quantize::quantizer() const {
  return OutputQuantizer{
      .name = options_.name, .bits = options_.bits, .clip = options_.step, .offset = options_.offset};
}

void Quantize::forward(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  require(x.unit.activation == nullptr && x.unit.weight == nullptr, "quantize: reads levels");
  pass.backend.offset_quantizer_forward(
      {geometry(x.shape, x.dtype), parameters_in(pass.parameters), x.data, pass.output.data});
}

void Quantize::backward(const BackwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  pass.backend.offset_quantizer_backward(
      {.geometry = geometry(x.shape, x.dtype),
       .parameters = parameters_in(pass.parameters),
       .gain = gradient_gain(x.shape, options_.bits),
       .input = x.data,
       .d_output = pass.d_output.data,
       .d_input = pass.d_inputs[0].data,
       .d_step = pass.parameters.gradients[static_cast<std::size_t>(options_.step)],
       .d_offset = pass.parameters.gradients[static_cast<std::size_t>(options_.offset)],
       .scratch = pass.scratch,
       .mode = pass.modes[0]});
}

std::unique_ptr<Layer> make_quantize(const LayerRequest& request) {
  request.want_inputs(1, 1);
  request.options().finish();
  if (request.ids[0] == 0) request.refuse("reads the image, which is never quantized; put it behind a layer");
  if (const Node& before = request.network.nodes()[static_cast<std::size_t>(request.ids[0]) - 1];
      before.layer->kind() == "conv2d")
    request.refuse(fmt::format("reads the conv2d '{}'; put a norm_act or a bias_act between them", before.name));
  const Quantizer& quantizer = request.quantizer;
  Network& network = request.network;
  const std::string& node = request.node.name;
  const std::string step = node + ".step", offset = node + ".offset";
  if (!quantizer.quantizes_signed || quantizer.activation != Activation::lsq || quantizer.act_bits == 0) {
    for (const std::string& name : {step, offset}) network.add_unused(name);
    return nullptr;
  }
  const auto levels = static_cast<float>(levels_of(quantizer.act_bits));
  QuantizeOptions options{.name = node, .bits = quantizer.act_bits};
  options.step = network.add_parameter({.name = step,
                                        .shape = {1},
                                        .constant = 2 * kInitialReach / levels,
                                        .role = Role::quantizer_step,
                                        .optional = true});
  options.offset = network.add_parameter(
      {.name = offset, .shape = {1}, .constant = -kInitialReach, .role = Role::quantizer_offset, .optional = true});
  return std::make_unique<Quantize>(std::move(options));
}

}  // namespace bsq
