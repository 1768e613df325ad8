#include "engine/network/layers/norm_act.h"

#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

namespace bsq {
NormActGeometry NormAct::geometry(const Shape& input, DType dtype, std::int64_t pitch) const {
  require(input.rank == 4 && input[3] == options_.channels, "norm_act: wants [N, H, W, {}]", options_.channels);
  return {.rows = input[0] * input[1] * input[2],
          .channels = options_.channels,
          .dtype = dtype,
          .x_pitch = static_cast<int>(pitch)};
}

NormActRule NormAct::rule(bool batch_statistics) const {
  return {.activation = options_.activation,
          .act_bits = options_.act_bits,
          .batch_statistics = batch_statistics,
          .epsilon = options_.epsilon,
          .momentum = options_.momentum};
}

NormParameters NormAct::parameters(const ParameterMemory& memory) const {
  return {.gamma = memory.values[ids_.gamma].as<float>(),
          .beta = memory.values[ids_.beta].as<float>(),
          .running_mean = memory.states[ids_.running_mean],
          .running_var = memory.states[ids_.running_var],
          .clip = activation().clip_of(memory),
          .input_bias = ids_.input_bias < 0 ? nullptr : memory.values[ids_.input_bias].as<float>()};
}

NormSaved NormAct::saved(void* memory) const {
  auto* floats = static_cast<float*>(memory);
  const int channels = options_.channels;
  return {.mean = floats,
          .inv_std = floats + channels,
          .act_scale = floats + 4 * channels,
          .coefficients = floats + 2 * channels};
}

TensorSpec NormAct::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() == 1 || inputs.size() == 2, "norm_act takes x and perhaps a shortcut");
  require(inputs.size() == 1 || inputs[0].shape == inputs[1].shape, "norm_act: x and shortcut differ in shape");
  geometry(inputs[0].shape, inputs[0].dtype);
  return inputs[0];
}

LayerMemory NormAct::plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& /*use*/) const {
  return {.saved_bytes = static_cast<std::size_t>(4 * options_.channels + 1) * sizeof(float),
          .scratch_bytes = backend.norm_act_scratch_bytes(geometry(inputs[0].shape, inputs[0].dtype))};
}

std::vector<ParameterId> NormAct::parameters() const {
  std::vector<ParameterId> ids = {ids_.gamma, ids_.beta};
  for (const ParameterId id : {ids_.clip, ids_.input_bias})
    if (id >= 0) ids.push_back(id);
  return ids;
}

TensorUnit NormAct::output_unit(std::span<const TensorView> /*inputs*/, const ParameterMemory& /*parameters*/,
                                float* own) const {
  return {.activation = options_.act_bits > 0 ? own : nullptr};
}

NormActForwardArgs NormAct::norm(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  const TensorView shortcut = pass.inputs.size() == 2 ? pass.inputs[1] : TensorView{};
  return {.geometry = geometry(x.shape, x.dtype, x.pitch),
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
          .act_scale = activation().fixed_scale(pass),
          .slice = pass.slice,
          .x_from = pass.x_from,
          .read_by = pass.read_by,
          .ranges = ids_.ranges.of(pass)};
}

NormActBackwardArgs NormAct::norm(const BackwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  const bool has_shortcut = pass.inputs.size() == 2;
  const TensorView shortcut = has_shortcut ? pass.inputs[1] : TensorView{};
  const auto& gradients = pass.parameters.gradients;
  NormActRule backward_rule = rule(true);
  backward_rule.clip_gain = activation().clip_gain(x.shape);
  return {.geometry = geometry(x.shape, x.dtype, x.pitch),
          .rule = backward_rule,
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
                        .d_clip = activation().d_clip_of(pass.parameters),
                        .d_input_bias = ids_.input_bias < 0 ? nullptr : gradients[ids_.input_bias]},
          .scratch = pass.scratch,
          .x_unit = x.unit,
          .shortcut_unit = shortcut.unit,
          .y_unit = pass.d_output.unit.activation,
          .slice = pass.slice,
          .d_y_from = pass.d_y_from};
}

std::int64_t NormAct::exchanged_statistics() const {
  constexpr std::int64_t numbers_per_channel = 4;  // two moments forward, two sums backward
  return numbers_per_channel * options_.channels + (activation().takes_maximum() ? 1 : 0);
}

std::unique_ptr<Layer> make_norm_act(const LayerRequest& request) {
  request.want_inputs(1, 2);
  const Shape& x = request.image(0);
  if (request.inputs.size() == 2 && !(request.image(1) == x))
    request.refuse(fmt::format("'{}' and '{}' differ in shape", request.node.inputs[0], request.node.inputs[1]));
  NodeOptions options = request.options();
  ActivationPart activation = read_activation(request, options, "relu");
  const NormActRule rule;
  NormActOptions norm{.channels = static_cast<int>(x[3]),
                      .activation = activation.activation,
                      .act_bits = activation.act_bits,
                      .activation_name = activation.name};
  norm.epsilon = static_cast<float>(options.number("epsilon", 0, 1, rule.epsilon));
  norm.momentum = static_cast<float>(options.number("momentum", 0, 1, rule.momentum));
  options.finish();

  Network& network = request.network;
  const std::string& node = request.node.name;
  const std::int64_t channels = norm.channels;
  NormActParameters ids;
  ids.gamma =
      network.add_parameter({.name = node + ".weight", .shape = {channels}, .constant = 1, .role = Role::norm_gamma});
  ids.beta =
      network.add_parameter({.name = node + ".bias", .shape = {channels}, .constant = 0, .role = Role::norm_beta});
  ids.running_mean = network.add_state({node + ".running_mean", channels, 0.0F, Role::running_mean});
  ids.running_var = network.add_state({node + ".running_var", channels, 1.0F, Role::running_var});
  network.add_batch_counter(node + ".num_batches_tracked");
  add_activation(request, activation);
  ids.clip = activation.clip;
  ids.act_scale = activation.act_scale;
  if (request.inputs.size() == 2) ids.ranges.term = add_range(request, ".term");
  if (activation.act_bits == 0) ids.ranges.y = add_range(request);
  ids.input_bias = request.output_bias(0).value_or(-1);
  if (ids.input_bias >= 0 &&
      network.parameters()[static_cast<std::size_t>(ids.input_bias)].group == ParameterGroup::quantized)
    request.refuse(
        fmt::format("takes off the bias of the conv2d '{0}', so that bits in it have no effect; set "
                    "bias_quantized: false in '{0}'",
                    request.node.inputs[0]));
  return std::make_unique<NormAct>(norm, ids);
}

}  // namespace bsq
