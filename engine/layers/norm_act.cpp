#include "engine/layers/norm_act.h"

#include "kernels/error.h"

namespace bsq {

NormActGeometry NormAct::geometry(const Shape& input, DType dtype) const {
  require(input.rank == 4 && input[3] == options_.channels, "norm_act: wants [N, H, W, {}]", options_.channels);
  return {.rows = input[0] * input[1] * input[2], .channels = options_.channels, .dtype = dtype};
}

NormActRule NormAct::rule(bool batch_statistics) const {
  return {.activation = options_.activation, .act_bits = options_.act_bits, .batch_statistics = batch_statistics};
}

NormParameters NormAct::parameters(const ParameterMemory& memory) const {
  return {.gamma = memory.values[ids_.gamma],
          .beta = memory.values[ids_.beta],
          .running_mean = memory.states[ids_.running_mean],
          .running_var = memory.states[ids_.running_var],
          .clip = ids_.clip < 0 ? nullptr : memory.values[ids_.clip]};
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

LayerMemory NormAct::plan(Backend& backend, std::span<const TensorSpec> inputs) const {
  return {.saved_bytes = static_cast<std::size_t>(2 * options_.channels + 1) * sizeof(float),
          .scratch_bytes = backend.norm_act_scratch_bytes(geometry(inputs[0].shape, inputs[0].dtype))};
}

std::vector<ParameterId> NormAct::parameters() const {
  std::vector<ParameterId> ids = {ids_.gamma, ids_.beta};
  if (ids_.clip >= 0) ids.push_back(ids_.clip);
  return ids;
}

void NormAct::forward(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  const void* shortcut = pass.inputs.size() == 2 ? pass.inputs[1].data : nullptr;
  pass.backend.norm_act_forward({geometry(x.shape, x.dtype), rule(pass.training), x.data, shortcut,
                                 parameters(pass.parameters), saved(pass.saved), pass.output.data, pass.scratch});
}

void NormAct::backward(const BackwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  const bool has_shortcut = pass.inputs.size() == 2;
  const auto& gradients = pass.parameters.gradients;
  pass.backend.norm_act_backward({geometry(x.shape, x.dtype),
                                  rule(true),
                                  pass.d_output.data,
                                  x.data,
                                  has_shortcut ? pass.inputs[1].data : nullptr,
                                  parameters(pass.parameters),
                                  saved(pass.saved),
                                  pass.d_inputs[0].data,
                                  has_shortcut ? pass.d_inputs[1].data : nullptr,
                                  has_shortcut ? pass.modes[1] : GradMode::overwrite,
                                  {.d_gamma = gradients[ids_.gamma],
                                   .d_beta = gradients[ids_.beta],
                                   .d_clip = ids_.clip < 0 ? nullptr : gradients[ids_.clip]},
                                  pass.scratch});
}

}  // namespace bsq
