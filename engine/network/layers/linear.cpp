#include "engine/network/layers/linear.h"

#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

namespace bsq {

LinearGeometry Linear::geometry(const Shape& input) const {
  return {.batch = static_cast<int>(input[0]), .in_features = in_features_, .out_features = out_features_};
}

TensorSpec Linear::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() == 1 && inputs[0].shape == Shape({inputs[0].shape[0], in_features_}),
          "linear wants one input [N, {}]", in_features_);
  require(inputs[0].dtype == DType::f32, "linear wants float32");
  return {{inputs[0].shape[0], out_features_}, DType::f32};
}

LayerMemory Linear::plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& use) const {
  backend.plan_linear(geometry(inputs[0].shape), use.backward);
  return {};
}

double Linear::flops(std::span<const TensorSpec> inputs) const {
  return 2.0 * static_cast<double>(inputs[0].shape[0]) * in_features_ * out_features_;
}

void Linear::forward(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  pass.backend.linear_forward({geometry(x.shape), x.as<float>(), pass.parameters.values[weight_].as<float>(),
                               pass.parameters.values[bias_].as<float>(), pass.output.as<float>(), x.unit});
}

void Linear::backward(const BackwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  pass.backend.linear_backward({geometry(x.shape), pass.d_output.as<float>(), x.as<float>(),
                                pass.parameters.values[weight_].as<float>(), pass.d_inputs[0].as<float>(),
                                pass.parameters.gradients[weight_], pass.parameters.gradients[bias_], x.unit,
                                pass.modes[0]});
}

std::unique_ptr<Layer> make_linear(const LayerRequest& request) {
  constexpr int kMostFeatures = 1 << 16;
  request.want_inputs(1, 1);
  const Shape& x = request.inputs[0].shape;
  if (x.rank != 2)
    request.refuse(
        fmt::format("reads the image '{}'; put an average_pool or a flatten between", request.node.inputs[0]));
  NodeOptions options = request.options();
  const int in = static_cast<int>(x[1]), out = options.integer("out", 1, kMostFeatures);
  const auto group = options.flag("quantized", false) ? ParameterGroup::quantized : ParameterGroup::plain;
  const bool is_normal = options.one_of("initializer", {"torch_default", "normal"}, "torch_default") == "normal";
  const double deviation = is_normal ? options.number("deviation", 0, 10) : 0;
  const bool starts_at_zero = options.one_of("bias_initializer", {"torch_default", "zero"}, "torch_default") == "zero";
  options.finish();
  const ParameterId weight =
      request.network.add_parameter({.name = request.node.name + ".weight",
                                     .shape = {out, in},
                                     .group = group,
                                     .initializer = is_normal ? Initializer::normal : Initializer::torch_default,
                                     .deviation = static_cast<float>(deviation),
                                     .fan_in = in});
  const ParameterId bias =
      request.network.add_parameter({.name = request.node.name + ".bias",
                                     .shape = {out},
                                     .group = group,
                                     .initializer = starts_at_zero ? Initializer::constant : Initializer::torch_default,
                                     .fan_in = in,
                                     .role = Role::bias});
  return std::make_unique<Linear>(in, out, weight, bias);
}

}  // namespace bsq
