#include "engine/network/layers/norm_act.h"

#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

namespace bsq {
namespace {

constexpr float kInitialClip = 10.0F;  // PACT's ceiling before training
constexpr float kNotCalibrated = -1.0F;

Activation activation_of(const std::string& name, const Quantizer& quantizer) {
  for (const Activation activation : {Activation::none, Activation::relu, Activation::relu6, Activation::pact})
    if (name == name_of(activation)) return activation;
  return quantizer.activation;
}

}  // namespace

NormActGeometry NormAct::geometry(const Shape& input, DType dtype) const {
  require(input.rank == 4 && input[3] == options_.channels, "norm_act: wants [N, H, W, {}]", options_.channels);
  return {.rows = input[0] * input[1] * input[2], .channels = options_.channels, .dtype = dtype};
}

NormActRule NormAct::rule(bool batch_statistics) const {
  return {.activation = options_.activation, .act_bits = options_.act_bits, .batch_statistics = batch_statistics};
}

NormParameters NormAct::parameters(const ParameterMemory& memory) const {
  return {.gamma = memory.values[ids_.gamma].as<float>(),
          .beta = memory.values[ids_.beta].as<float>(),
          .running_mean = memory.states[ids_.running_mean],
          .running_var = memory.states[ids_.running_var],
          .clip = ids_.clip < 0 ? nullptr : memory.values[ids_.clip].as<float>()};
}

NormSaved NormAct::saved(void* memory) const {
  auto* floats = static_cast<float*>(memory);
  return {.mean = floats, .inv_std = floats + options_.channels, .act_scale = floats + 2 * options_.channels};
}

TensorSpec NormAct::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() == 1 || inputs.size() == 2, "norm_act takes x and perhaps a shortcut");
  require(inputs.size() == 1 || inputs[0].shape == inputs[1].shape, "norm_act: x and shortcut differ in shape");
  geometry(inputs[0].shape, inputs[0].dtype);
  return inputs[0];
}

LayerMemory NormAct::plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& /*use*/) const {
  return {.saved_bytes = static_cast<std::size_t>(2 * options_.channels + 1) * sizeof(float),
          .scratch_bytes = backend.norm_act_scratch_bytes(geometry(inputs[0].shape, inputs[0].dtype))};
}

std::vector<ParameterId> NormAct::parameters() const {
  std::vector<ParameterId> ids = {ids_.gamma, ids_.beta};
  if (ids_.clip >= 0) ids.push_back(ids_.clip);
  return ids;
}

TensorUnit NormAct::output_unit(std::span<const TensorView> /*inputs*/, const ParameterMemory& /*parameters*/,
                                float* own) const {
  return {.activation = options_.act_bits > 0 ? own : nullptr};
}

void NormAct::forward(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  const TensorView shortcut = pass.inputs.size() == 2 ? pass.inputs[1] : TensorView{};
  const bool has_static_scale = ids_.act_scale >= 0 && pass.act_scale == ActScale::calibrated && !pass.training;
  pass.backend.norm_act_forward({.geometry = geometry(x.shape, x.dtype),
                                 .rule = rule(pass.training),
                                 .x = x.data,
                                 .shortcut = shortcut.data,
                                 .parameters = parameters(pass.parameters),
                                 .saved = saved(pass.saved),
                                 .y = pass.output.data,
                                 .scratch = pass.scratch,
                                 .x_unit = x.unit,
                                 .shortcut_unit = shortcut.unit,
                                 .y_unit = pass.output.unit.activation,
                                 .act_scale = has_static_scale ? pass.parameters.states[ids_.act_scale] : nullptr,
                                 .slice = pass.slice});
}

void NormAct::backward(const BackwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  const bool has_shortcut = pass.inputs.size() == 2;
  const TensorView shortcut = has_shortcut ? pass.inputs[1] : TensorView{};
  const auto& gradients = pass.parameters.gradients;
  pass.backend.norm_act_backward({.geometry = geometry(x.shape, x.dtype),
                                  .rule = rule(true),
                                  .d_y = pass.d_output.data,
                                  .x = x.data,
                                  .shortcut = shortcut.data,
                                  .parameters = parameters(pass.parameters),
                                  .saved = saved(pass.saved),
                                  .d_x = pass.d_inputs[0].data,
                                  .d_shortcut = has_shortcut ? pass.d_inputs[1].data : nullptr,
                                  .x_mode = pass.modes[0],
                                  .shortcut_mode = has_shortcut ? pass.modes[1] : GradMode::overwrite,
                                  .gradients = {.d_gamma = gradients[ids_.gamma],
                                                .d_beta = gradients[ids_.beta],
                                                .d_clip = ids_.clip < 0 ? nullptr : gradients[ids_.clip]},
                                  .scratch = pass.scratch,
                                  .x_unit = x.unit,
                                  .shortcut_unit = shortcut.unit,
                                  .y_unit = pass.d_output.unit.activation,
                                  .slice = pass.slice});
}

std::optional<OutputQuantizer> NormAct::quantizer() const {
  if (options_.act_bits == 0) return std::nullopt;
  return OutputQuantizer{options_.activation_name, options_.act_bits, ids_.act_scale};
}

std::int64_t NormAct::exchanged_statistics() const {
  constexpr std::int64_t numbers_per_channel = 4;  // two moments forward, two sums backward
  return numbers_per_channel * options_.channels + (options_.act_bits > 0 ? 1 : 0);
}

std::unique_ptr<Layer> make_norm_act(const LayerRequest& request) {
  request.want_inputs(1, 2);
  const Shape& x = request.image(0);
  if (request.inputs.size() == 2 && !(request.image(1) == x))
    request.refuse(fmt::format("'{}' and '{}' differ in shape", request.node.inputs[0], request.node.inputs[1]));
  NodeOptions options = request.options();
  const bool quantized = options.flag("quantized", false);
  const std::string name =
      options.one_of("activation", {"none", "relu", "relu6", "pact", "configured"}, quantized ? "configured" : "relu");
  if (quantized && name == "none") options.refuse("quantized", "needs an activation");
  NormActOptions norm{.channels = static_cast<int>(x[3]),
                      .activation = activation_of(name, request.quantizer),
                      .act_bits = quantized ? request.quantizer.act_bits : 0,
                      .activation_name = options.name("activation_name", request.node.name + ".act")};
  options.finish();
  if (norm.activation == Activation::none) norm.activation_name.clear();

  Network& network = request.network;
  const std::string& node = request.node.name;
  const std::string clip = norm.activation_name + ".alpha", act_scale = norm.activation_name + ".act_scale";
  const std::int64_t channels = norm.channels;
  NormActParameters ids;
  ids.gamma =
      network.add_parameter({.name = node + ".weight", .shape = {channels}, .constant = 1, .role = Role::norm_gamma});
  ids.beta =
      network.add_parameter({.name = node + ".bias", .shape = {channels}, .constant = 0, .role = Role::norm_beta});
  ids.running_mean = network.add_state({node + ".running_mean", channels, 0.0F, Role::running_mean});
  ids.running_var = network.add_state({node + ".running_var", channels, 1.0F, Role::running_var});
  network.add_batch_counter(node + ".num_batches_tracked");
  if (norm.activation == Activation::pact)
    ids.clip = network.add_parameter(
        {.name = clip, .shape = {1}, .constant = kInitialClip, .role = Role::clip, .optional = true});
  if (request.quantizer.static_scales && norm.act_bits > 0)
    ids.act_scale = network.add_state({act_scale, 1, kNotCalibrated, Role::act_scale, true});
  if (norm.activation != Activation::none)
    for (const std::string& other : {clip, act_scale}) network.add_unused(other);
  return std::make_unique<NormAct>(norm, ids);
}

}  // namespace bsq
