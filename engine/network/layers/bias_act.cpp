#include "engine/network/layers/bias_act.h"

#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

namespace bsq {
namespace {

/// The deployed network rounds the outputs of convolutions, with their biases, before it adds them. A bias of the
/// second input would have to be added before that is rounded, which no operation does.
void add_ranges(const LayerRequest& request, BiasActOptions& bias_act) {
  const auto multiplies = [&](std::size_t input) {
    if (request.ids[input] == 0) return false;
    const std::string_view kind =
        request.network.nodes()[static_cast<std::size_t>(request.ids[input]) - 1].layer->kind();
    return kind == "conv2d" || kind == "linear";
  };
  const bool adds = request.inputs.size() == 2, has_bias = bias_act.bias >= 0;
  const bool rounds_terms = adds && (!has_bias || bias_act.biased_input == 0);
  if (rounds_terms && multiplies(0)) bias_act.ranges.term = add_range(request, ".term");
  if (rounds_terms && multiplies(1)) bias_act.ranges.shortcut = add_range(request, ".shortcut");
  const bool changes_something =
      adds || has_bias || multiplies(0) || bias_act.activation.activation != Activation::none;
  if (changes_something && bias_act.activation.act_bits == 0) bias_act.ranges.y = add_range(request);
}

std::unique_ptr<Layer> make(const LayerRequest& request, std::size_t least_inputs, const std::string& activation) {
  request.want_inputs(least_inputs, 2);
  const Shape& shape = request.inputs[0].shape;
  if (request.inputs.size() == 2 && !(request.inputs[1].shape == shape))
    request.refuse(fmt::format("'{}' and '{}' differ in shape", request.node.inputs[0], request.node.inputs[1]));
  NodeOptions options = request.options();
  BiasActOptions bias_act{.channels = static_cast<int>(shape[shape.rank - 1]),
                          .activation = read_activation(request, options, activation)};
  options.finish();
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const std::optional<ParameterId> bias = request.output_bias(i);
    if (!bias) continue;
    if (bias_act.bias >= 0)
      request.refuse(fmt::format("'{}' and '{}' both have a bias; put a bias_act behind the second",
                                 request.node.inputs[0], request.node.inputs[1]));
    bias_act.bias = *bias;
    bias_act.biased_input = static_cast<int>(i);
  }
  add_activation(request, bias_act.activation);
  add_ranges(request, bias_act);
  return std::make_unique<BiasAct>(bias_act);
}

}  // namespace

NormActGeometry BiasAct::geometry(const Shape& input, DType dtype, std::int64_t pitch) const {
  const bool fits = (input.rank == 4 || input.rank == 2) && input[input.rank - 1] == options_.channels;
  require(fits, "bias_act: wants [N, H, W, {0}] or [N, {0}]", options_.channels);
  return {.rows = input.numel() / options_.channels,
          .channels = options_.channels,
          .dtype = dtype,
          .x_pitch = static_cast<int>(pitch)};
}

NormActRule BiasAct::rule(bool training) const {
  return {.activation = options_.activation.activation,
          .act_bits = options_.activation.act_bits,
          .batch_statistics = training,
          .normalize = false};
}

NormParameters BiasAct::parameters(const ParameterMemory& memory) const {
  return {.beta = options_.bias < 0 ? nullptr : memory.values[options_.bias].as<float>(),
          .clip = options_.activation.clip_of(memory)};
}

TensorSpec BiasAct::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() == 1 || inputs.size() == 2, "bias_act takes one or two inputs");
  require(inputs.size() == 1 || (inputs[0].shape == inputs[1].shape && inputs[0].dtype == inputs[1].dtype),
          "bias_act: the inputs differ in shape or type");
  geometry(inputs[0].shape, inputs[0].dtype);
  return inputs[0];
}

LayerMemory BiasAct::plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& /*use*/) const {
  return {.saved_bytes = options_.activation.act_bits > 0 ? sizeof(float) : 0,
          .scratch_bytes = backend.norm_act_scratch_bytes(geometry(inputs[0].shape, inputs[0].dtype))};
}

std::vector<ParameterId> BiasAct::parameters() const {
  std::vector<ParameterId> ids;
  for (const ParameterId id : {options_.bias, options_.activation.clip})
    if (id >= 0) ids.push_back(id);
  return ids;
}

TensorUnit BiasAct::output_unit(std::span<const TensorView> /*inputs*/, const ParameterMemory& /*parameters*/,
                                float* own) const {
  return {.activation = options_.activation.act_bits > 0 ? own : nullptr};
}

void BiasAct::forward(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  const TensorView addend = pass.inputs.size() == 2 ? pass.inputs[1] : TensorView{};
  pass.backend.norm_act_forward({.geometry = geometry(x.shape, x.dtype, x.pitch),
                                 .rule = rule(pass.training),
                                 .x = x.data,
                                 .shortcut = addend.data,
                                 .parameters = parameters(pass.parameters),
                                 .saved = {.act_scale = static_cast<float*>(pass.saved)},
                                 .y = pass.output.data,
                                 .scratch = pass.scratch,
                                 .x_unit = x.unit,
                                 .shortcut_unit = addend.unit,
                                 .y_unit = pass.output.unit.activation,
                                 .act_scale = options_.activation.fixed_scale(pass),
                                 .slice = pass.slice,
                                 .ranges = options_.ranges.of(pass)});
}

void BiasAct::backward(const BackwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  const bool has_addend = pass.inputs.size() == 2;
  const TensorView addend = has_addend ? pass.inputs[1] : TensorView{};
  NormActRule backward_rule = rule(true);
  backward_rule.clip_gain = options_.activation.clip_gain(x.shape);
  pass.backend.norm_act_backward(
      {.geometry = geometry(x.shape, x.dtype, x.pitch),
       .rule = backward_rule,
       .d_y = pass.d_output.data,
       .x = x.data,
       .shortcut = addend.data,
       .parameters = parameters(pass.parameters),
       .saved = {.act_scale = static_cast<float*>(pass.saved)},
       .d_x = pass.d_inputs[0].data,
       .d_shortcut = has_addend ? pass.d_inputs[1].data : nullptr,
       .x_mode = pass.modes[0],
       .shortcut_mode = has_addend ? pass.modes[1] : GradMode::overwrite,
       .gradients = {.d_beta = options_.bias < 0 ? nullptr : pass.parameters.gradients[options_.bias],
                     .d_clip = options_.activation.d_clip_of(pass.parameters)},
       .scratch = pass.scratch,
       .x_unit = x.unit,
       .shortcut_unit = addend.unit,
       .y_unit = pass.d_output.unit.activation,
       .slice = pass.slice});
}

std::unique_ptr<Layer> make_bias_act(const LayerRequest& request) {
  return make(request, 1, "relu");
}

std::unique_ptr<Layer> make_add(const LayerRequest& request) {
  return make(request, 2, "none");
}

}  // namespace bsq
