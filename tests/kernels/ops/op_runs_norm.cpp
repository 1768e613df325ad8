// Runs of norm_act, alone and beside convolutions. See op_runs.h.
#include "tests/kernels/ops/op_runs.h"

#include "kernels/reference/reference_backend.h"
#include "tests/support/random_tensors.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bsq::test {

namespace {

struct NormActArguments {
  const void* x;
  const void* shortcut;
  NormParameters parameters;
  NormSaved saved;
  void* scratch;
  TensorUnit x_unit, shortcut_unit;
  float* y_unit;
  const float* act_scale;
  NormActRanges ranges;
};

/// Dense rows as a part of wider ones.
std::vector<float> spread(const std::vector<float>& dense, const NormActGeometry& geometry) {
  std::vector<float> wide(static_cast<std::size_t>(geometry.rows * geometry.pitch()),
                          std::numeric_limits<float>::quiet_NaN());
  for (std::int64_t row = 0; row < geometry.rows && !dense.empty(); ++row)
    std::copy_n(dense.begin() + row * geometry.channels, geometry.channels, wide.begin() + row * geometry.pitch());
  return wide;
}

/// Dense rows again; nothing may have been written between them.
void gather(Output& output, const NormActGeometry& geometry) {
  std::vector<double> dense;
  bool untouched = true;
  for (std::size_t i = 0; i < output.values.size(); ++i) {
    if (static_cast<int>(i % static_cast<std::size_t>(geometry.pitch())) < geometry.channels)
      dense.push_back(output.values[i]);
    else
      untouched = untouched && std::isnan(output.values[i]);
  }
  CHECK(untouched);
  output.values = dense;
}

void* place_d_x(RunMemory& memory, const NormActGeometry& geometry, const NormActInputs& inputs, GradMode mode) {
  const bool adds = mode == GradMode::accumulate;
  if (geometry.x_pitch != 0)
    return memory.in_out("d_x", geometry.dtype, spread(adds ? inputs.d_x_before : std::vector<float>(), geometry));
  return adds ? memory.in_out("d_x", geometry.dtype, inputs.d_x_before)
              : memory.output("d_x", geometry.dtype, geometry.rows * geometry.channels);
}

/// Of what there is to know of a norm; where nothing is normalized there is nothing to look at.
void place_norm(RunMemory& memory, const NormActGeometry& geometry, const NormActInputs& inputs,
                NormParameters& parameters, NormSaved& saved) {
  parameters.gamma = memory.input("gamma", inputs.gamma);
  parameters.running_mean = memory.in_out("running_mean", inputs.running_mean);
  parameters.running_var = memory.in_out("running_var", inputs.running_var);
  if (!inputs.input_bias.empty()) parameters.input_bias = memory.input("input_bias", inputs.input_bias);
  saved.mean = memory.output<float>("mean", geometry.channels);
  saved.inv_std = memory.output<float>("inv_std", geometry.channels);
}

NormActArguments place(RunMemory& memory, Backend& backend, const NormActGeometry& geometry, const NormActRule& rule,
                       const NormActInputs& inputs, const void* x) {
  NormActArguments arguments{};
  arguments.x = x;
  arguments.shortcut = inputs.shortcut.empty() ? nullptr : memory.input("shortcut", geometry.dtype, inputs.shortcut);
  if (rule.normalize) place_norm(memory, geometry, inputs, arguments.parameters, arguments.saved);
  if (!inputs.beta.empty()) arguments.parameters.beta = memory.input("beta", inputs.beta);
  if (learns_ceiling(rule.activation)) arguments.parameters.clip = memory.input("clip", inputs.clip);
  arguments.saved.act_scale = memory.output<float>("act_scale", 1);
  arguments.scratch = memory.scratch(backend.norm_act_scratch_bytes(geometry));
  arguments.x_unit = place_unit(memory, "x_unit", inputs.x_unit);
  arguments.shortcut_unit = place_unit(memory, "shortcut_unit", inputs.shortcut_unit);
  if (!inputs.x_unit.empty() && rule.act_bits > 0) arguments.y_unit = memory.output<float>("y_unit", 1);
  if (!inputs.act_scale.empty()) arguments.act_scale = memory.input("given act_scale", inputs.act_scale);
  if (rule.activation == Activation::lsq) arguments.act_scale = arguments.parameters.clip;
  if (!inputs.term_range.empty()) arguments.ranges.term = memory.input("range of term", inputs.term_range);
  if (!inputs.shortcut_range.empty())
    arguments.ranges.shortcut = memory.input("range of shortcut", inputs.shortcut_range);
  if (!inputs.y_range.empty()) arguments.ranges.y = memory.input("range of y", inputs.y_range);
  return arguments;
}

NormGradients place_gradients(RunMemory& memory, const NormActGeometry& geometry, const NormActRule& rule,
                              const NormActInputs& inputs) {
  NormGradients gradients;
  if (rule.normalize) gradients.d_gamma = memory.output<float>("d_gamma", geometry.channels);
  if (!inputs.beta.empty()) gradients.d_beta = memory.output<float>("d_beta", geometry.channels);
  if (!inputs.input_bias.empty()) gradients.d_input_bias = memory.output<float>("d_input_bias", geometry.channels);
  if (learns_ceiling(rule.activation)) gradients.d_clip = memory.output<float>("d_clip", 1);
  return gradients;
}

/// Without those of forward, which it has for backward alone.
Outputs without_forward(Outputs outputs) {
  for (const char* forward_output : {"y", "running_mean", "running_var", "mean", "inv_std", "act_scale", "y_unit"})
    outputs.erase(forward_output);
  return outputs;
}

void zero_gradients_at_kinks(const cases::NormActCase& c, DType dtype, NormActInputs& inputs) {
  constexpr double margin = 1e-4;
  NormActRule linear = c.rule;
  linear.activation = Activation::none;
  linear.act_bits = 0;
  const std::unique_ptr<Backend> oracle = make_reference_backend();
  NormActInputs seen = inputs;
  seen.x = rounded_to(dtype, inputs.x);
  seen.shortcut = rounded_to(dtype, inputs.shortcut);
  const std::vector<double> z = run_norm_act_forward(*oracle, c.geometry(DType::f32), linear, seen).at("y").values;
  const double ceiling = learns_ceiling(c.rule.activation) ? inputs.clip[0] : 6.0;
  for (std::size_t i = 0; i < z.size(); ++i) {
    if (std::fabs(z[i]) < margin || std::fabs(z[i] - ceiling) < margin) inputs.d_y[i] = 0;
  }
  if (c.rule.activation != Activation::lsq) return;
  const double step = ceiling / ((1 << c.rule.act_bits) - 1);
  for (std::size_t i = 0; i < z.size(); ++i) {  // where the level changes
    const double middle = (std::floor(z[i] / step) + 0.5) * step;
    if (std::fabs(z[i] - middle) < margin) inputs.d_y[i] = 0;
  }
}

}  // namespace

NormActInputs make_inputs(const cases::NormActCase& c, DType dtype) {
  const std::int64_t count = c.geometry(DType::f32).rows * c.channels;
  RandomTensors random("norm_act " + c.name);
  NormActInputs inputs;
  inputs.x = random.normal(count, 0.5F, 2.0F);
  const std::vector<float> shortcut = random.normal(count, 0.5F, 1.0F);
  if (c.shortcut) inputs.shortcut = shortcut;
  inputs.gamma = random.uniform(c.channels, 0.5F, 2.5F);
  inputs.beta = random.normal(c.channels, 0.5F, 1.0F);
  inputs.running_mean = random.normal(c.channels, 0.5F, 0.5F);
  inputs.running_var = random.uniform(c.channels, 1.0F, 5.0F);
  inputs.clip = {2.5F};
  inputs.d_y = random.normal(count, 0.0F, 1.0F);
  inputs.d_shortcut_before = random.normal(count, 0.0F, 1.0F);
  inputs.d_x_before = random.normal(count, 0.0F, 1.0F);
  if (c.units) {
    inputs.x_unit = {0.75F, -1.25F};
    inputs.shortcut_unit = {0.4F};
  }
  if (!c.bias) inputs.beta.clear();
  if (c.input_bias) inputs.input_bias = random.normal(c.channels, 0.5F, 1.0F);
  zero_gradients_at_kinks(c, dtype, inputs);
  return inputs;
}

Outputs run_norm_act_forward(Backend& backend, const NormActGeometry& geometry, const NormActRule& rule,
                             const NormActInputs& inputs, Place where) {
  RunMemory memory(backend);
  const bool in_place = where == Place::in_place;
  void* y = in_place ? memory.in_out("y", geometry.dtype, inputs.x)
                     : memory.output("y", geometry.dtype, geometry.rows * geometry.channels);
  const void* x = in_place ? y : memory.input("x", geometry.dtype, spread(inputs.x, geometry));
  const NormActArguments arguments = place(memory, backend, geometry, rule, inputs, x);
  backend.norm_act_forward({geometry, rule, x, arguments.shortcut, arguments.parameters, arguments.saved, y,
                            arguments.scratch, arguments.x_unit, arguments.shortcut_unit, arguments.y_unit,
                            arguments.act_scale, inputs.slice, nullptr, nullptr, arguments.ranges});
  return memory.finish();
}

Outputs run_norm_act_backward(Backend& backend, const NormActGeometry& geometry, const NormActRule& rule,
                              const NormActInputs& inputs, const NormActModes& modes, Place where) {
  RunMemory memory(backend);
  const std::int64_t count = geometry.rows * geometry.channels;
  const void* x = memory.input("x", geometry.dtype, spread(inputs.x, geometry));
  const NormActArguments arguments = place(memory, backend, geometry, rule, inputs, x);
  backend.norm_act_forward({geometry, rule, x, arguments.shortcut, arguments.parameters, arguments.saved,
                            memory.output("y", geometry.dtype, count), arguments.scratch, arguments.x_unit,
                            arguments.shortcut_unit, arguments.y_unit, arguments.act_scale, inputs.slice, nullptr,
                            nullptr, arguments.ranges});

  const bool in_place = where == Place::in_place;
  void* d_x =
      in_place ? memory.in_out("d_x", geometry.dtype, inputs.d_y) : place_d_x(memory, geometry, inputs, modes.x);
  const void* d_y = in_place ? d_x : memory.input("d_y", geometry.dtype, inputs.d_y);
  void* d_shortcut = where == Place::d_x_and_shortcut ? d_x : nullptr;
  if (arguments.shortcut != nullptr && d_shortcut == nullptr) {
    d_shortcut = modes.shortcut == GradMode::accumulate
                     ? memory.in_out("d_shortcut", geometry.dtype, inputs.d_shortcut_before)
                     : memory.output("d_shortcut", geometry.dtype, count);
  }
  const NormGradients gradients = place_gradients(memory, geometry, rule, inputs);
  void* scratch = memory.scratch(backend.norm_act_scratch_bytes(geometry));
  backend.norm_act_backward({geometry, rule, d_y, x, arguments.shortcut, arguments.parameters, arguments.saved, d_x,
                             d_shortcut, modes.x, modes.shortcut, gradients, scratch, arguments.x_unit,
                             arguments.shortcut_unit, arguments.y_unit, inputs.slice});
  Outputs outputs = memory.finish();
  gather(outputs.at("d_x"), geometry);
  return without_forward(std::move(outputs));
}

Outputs run_conv_norm_forward(Backend& backend, const ConvGeometry& geometry, const ConvInputs& conv,
                              const NormActRule& rule, const NormActInputs& inputs) {
  RunMemory memory(backend);
  const std::int64_t count = geometry.output_shape().numel();
  const NormActGeometry rows{count / geometry.out_channels, geometry.out_channels, geometry.dtype};
  void* x = memory.output("x", geometry.dtype, count);
  const NormActArguments arguments = place(memory, backend, rows, rule, inputs, x);
  NormActForwardArgs norm{rows,
                          rule,
                          x,
                          arguments.shortcut,
                          arguments.parameters,
                          arguments.saved,
                          memory.output("y", geometry.dtype, count),
                          arguments.scratch,
                          arguments.x_unit,
                          arguments.shortcut_unit,
                          arguments.y_unit,
                          arguments.act_scale,
                          nullptr,
                          nullptr,
                          nullptr,
                          arguments.ranges};
  const void* input = memory.input("input", geometry.dtype, conv.input);
  const void* weight = memory.input("weight", geometry.dtype, conv.weight);
  void* scratch = memory.scratch(backend.conv2d_scratch_bytes({geometry, kForwardPass}));
  backend.conv2d_forward({geometry, input, weight, x, scratch, &norm});
  norm.x_from = &geometry;
  backend.norm_act_forward(norm);
  return memory.finish();
}

Outputs run_norm_between_convs(Backend& backend, const ConvGeometry& first, const ConvInputs& first_inputs,
                               const NormActRule& rule, const NormActInputs& inputs, const ConvGeometry& second,
                               const ConvInputs& second_inputs, bool told) {
  RunMemory memory(backend);
  const DType dtype = first.dtype;
  const std::int64_t count = first.output_shape().numel();
  const NormActGeometry rows{count / first.out_channels, first.out_channels, dtype};
  void* x = memory.output("x", dtype, count);
  void* y = memory.output("y", dtype, count);
  const NormActArguments arguments = place(memory, backend, rows, rule, inputs, x);
  NormActForwardArgs norm{rows,
                          rule,
                          x,
                          nullptr,
                          arguments.parameters,
                          arguments.saved,
                          y,
                          arguments.scratch,
                          arguments.x_unit,
                          {},
                          arguments.y_unit};
  norm.x_from = &first;
  norm.read_by = told ? &second : nullptr;
  norm.ranges = arguments.ranges;
  norm.act_scale = arguments.act_scale;
  backend.conv2d_forward({first, memory.input("input", dtype, first_inputs.input),
                          memory.input("weight", dtype, first_inputs.weight), x,
                          memory.scratch(backend.conv2d_scratch_bytes({first, kForwardPass})), &norm});
  backend.norm_act_forward(norm);
  const NormActForwardArgs* input_norm = told ? &norm : nullptr;
  void* output = memory.output("output", dtype, second.output_shape().numel());
  auto* d_weight = memory.output<float>("d_weight", second.weight_shape().numel());
  void* scratch = memory.scratch(backend.conv2d_scratch_bytes({second, kAllPasses}));
  backend.conv2d_forward(
      {second, y, memory.input("weight", dtype, second_inputs.weight), output, scratch, nullptr, input_norm});
  backend.conv2d_backward_weight(
      {second, y, memory.input("d_output", dtype, second_inputs.d_output), d_weight, scratch, nullptr, input_norm});
  return memory.finish();
}

Outputs run_conv_norm_backward(Backend& backend, const ConvGeometry& geometry, const ConvInputs& conv,
                               const NormActRule& rule, const NormActInputs& inputs, GradMode mode) {
  RunMemory memory(backend);
  const std::int64_t count = geometry.input_shape().numel();
  const NormActGeometry rows{count / geometry.in_channels, geometry.in_channels, geometry.dtype};
  const void* x = memory.input("x", geometry.dtype, inputs.x);
  NormActArguments arguments = place(memory, backend, rows, rule, inputs, x);
  arguments.saved.coefficients = static_cast<float*>(memory.scratch(2 * sizeof(float) * geometry.in_channels));
  backend.norm_act_forward({rows, rule, x, arguments.shortcut, arguments.parameters, arguments.saved,
                            memory.output("y", geometry.dtype, count), arguments.scratch, arguments.x_unit,
                            arguments.shortcut_unit, arguments.y_unit, arguments.act_scale});

  void* d_y = mode == GradMode::accumulate ? memory.in_out("d_y", geometry.dtype, conv.d_input_before)
                                           : memory.output("d_y", geometry.dtype, count);
  void* d_x = memory.output("d_x", geometry.dtype, count);
  void* d_shortcut = inputs.shortcut.empty() ? nullptr : memory.output("d_shortcut", geometry.dtype, count);
  NormActBackwardArgs norm{.geometry = rows,
                           .rule = rule,
                           .d_y = d_y,
                           .x = x,
                           .shortcut = arguments.shortcut,
                           .parameters = arguments.parameters,
                           .saved = arguments.saved,
                           .d_x = d_x,
                           .d_shortcut = d_shortcut,
                           .gradients = place_gradients(memory, rows, rule, inputs),
                           .scratch = memory.scratch(backend.norm_act_scratch_bytes(rows)),
                           .x_unit = arguments.x_unit,
                           .shortcut_unit = arguments.shortcut_unit,
                           .y_unit = arguments.y_unit};
  const void* d_output = memory.input("d_output", geometry.dtype, conv.d_output);
  const void* weight = memory.input("weight", geometry.dtype, conv.weight);
  constexpr ConvPasses pass{.forward = false, .backward_weight = false};
  void* scratch = memory.scratch(backend.conv2d_scratch_bytes({geometry, pass}));
  backend.conv2d_backward_data({geometry, d_output, weight, d_y, mode, scratch, &norm});
  norm.d_y_from = &geometry;
  backend.norm_act_backward(norm);
  return without_forward(memory.finish());
}

}  // namespace bsq::test
