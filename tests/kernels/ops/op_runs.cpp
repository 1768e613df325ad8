// Runs of the operators on activations: convolution, head, input. See op_runs.h.
#include "tests/kernels/ops/op_runs.h"

#include "tests/support/random_tensors.h"

#include <cmath>

namespace bsq::test {

/// Only forward's y_unit is ever written through a unit.
TensorUnit place_unit(RunMemory& memory, const std::string& name, const std::vector<float>& factors) {
  if (factors.empty()) return {};
  auto* placed = const_cast<float*>(memory.input(name, factors));
  return {placed, factors.size() > 1 ? placed + 1 : nullptr};
}

// ---- convolution --------------------------------------------------------------------------------------------------

ConvInputs make_inputs(const cases::ConvCase& c) {
  const ConvGeometry geometry = c.geometry(DType::f32);
  RandomTensors random("conv " + c.name);
  return {random.normal(geometry.input_shape().numel(), 0.2F, 1.0F),
          random.normal(geometry.weight_shape().numel(), 0.0F, 0.2F),
          random.normal(geometry.output_shape().numel(), 0.0F, 1.0F),
          random.normal(geometry.input_shape().numel(), 0.0F, 1.0F)};
}

Outputs run_conv_forward(Backend& backend, const ConvGeometry& geometry, const ConvInputs& inputs) {
  RunMemory memory(backend);
  const void* input = memory.input("input", geometry.dtype, inputs.input);
  const void* weight = memory.input("weight", geometry.dtype, inputs.weight);
  void* output = memory.output("output", geometry.dtype, geometry.output_shape().numel());
  void* scratch = memory.scratch(backend.conv2d_scratch_bytes({geometry, kForwardPass}));
  backend.conv2d_forward({geometry, input, weight, output, scratch});
  return memory.finish();
}

Outputs run_conv_backward(Backend& backend, const ConvGeometry& geometry, const ConvInputs& inputs, GradMode mode) {
  RunMemory memory(backend);
  const void* input = memory.input("input", geometry.dtype, inputs.input);
  const void* weight = memory.input("weight", geometry.dtype, inputs.weight);
  const void* d_output = memory.input("d_output", geometry.dtype, inputs.d_output);
  void* d_input = mode == GradMode::accumulate
                      ? memory.in_out("d_input", geometry.dtype, inputs.d_input_before)
                      : memory.output("d_input", geometry.dtype, geometry.input_shape().numel());
  auto* d_weight = memory.output<float>("d_weight", geometry.weight_shape().numel());
  void* scratch = memory.scratch(backend.conv2d_scratch_bytes({geometry, {.forward = false}}));
  backend.conv2d_backward_data({geometry, d_output, weight, d_input, mode, scratch});
  backend.conv2d_backward_weight({geometry, input, d_output, d_weight, scratch});
  return memory.finish();
}

// ---- head ---------------------------------------------------------------------------------------------------------

LinearInputs make_inputs(const cases::LinearCase& c) {
  RandomTensors random("linear " + c.name);
  LinearInputs inputs{random.normal(std::int64_t{c.batch} * c.in_features, 0.5F, 1.0F),
                      random.normal(std::int64_t{c.out_features} * c.in_features, 0.0F, 0.3F),
                      random.normal(c.out_features, 0.0F, 0.3F),
                      random.normal(std::int64_t{c.batch} * c.out_features, 0.0F, 1.0F),
                      random.normal(std::int64_t{c.batch} * c.in_features, 0.0F, 1.0F)};
  if (c.unit) inputs.unit = {0.75F, -1.25F};
  return inputs;
}

Outputs run_linear_forward(Backend& backend, const LinearGeometry& geometry, const LinearInputs& inputs) {
  RunMemory memory(backend);
  const float* input = memory.input("input", inputs.input);
  const float* weight = memory.input("weight", inputs.weight);
  const float* bias = memory.input("bias", inputs.bias);
  auto* output = memory.output<float>("output", std::int64_t{geometry.batch} * geometry.out_features);
  backend.linear_forward({geometry, input, weight, bias, output, place_unit(memory, "unit", inputs.unit)});
  return memory.finish();
}

Outputs run_linear_backward(Backend& backend, const LinearGeometry& geometry, const LinearInputs& inputs,
                            GradMode mode) {
  RunMemory memory(backend);
  const float* d_output = memory.input("d_output", inputs.d_output);
  const float* input = memory.input("input", inputs.input);
  const float* weight = memory.input("weight", inputs.weight);
  auto* d_input = mode == GradMode::accumulate
                      ? memory.in_out("d_input", inputs.d_input_before)
                      : memory.output<float>("d_input", std::int64_t{geometry.batch} * geometry.in_features);
  auto* d_weight = memory.output<float>("d_weight", std::int64_t{geometry.out_features} * geometry.in_features);
  auto* d_bias = memory.output<float>("d_bias", geometry.out_features);
  backend.linear_backward(
      {geometry, d_output, input, weight, d_input, d_weight, d_bias, place_unit(memory, "unit", inputs.unit), mode});
  return memory.finish();
}

LossInputs make_inputs(const cases::LossCase& c) {
  RandomTensors random("loss " + c.name);
  LossInputs inputs{random.normal(std::int64_t{c.batch} * c.classes, 0.0F, 3.0F),
                    random.integers(c.batch, static_cast<std::uint32_t>(c.classes)), c.label_smoothing};
  if (c.ties) {
    for (float& logit : inputs.logits) logit = std::nearbyint(logit / 2);
  }
  if (c.teacher_weight > 0) {
    inputs.teacher = random.normal(std::int64_t{c.batch} * c.classes, 0.0F, 3.0F);
    inputs.teacher_weight = c.teacher_weight;
    inputs.temperature = c.temperature;
  }
  inputs.mixed_weight = c.mixed_weight;
  return inputs;
}

Outputs run_loss(Backend& backend, int batch, int classes, bool evaluation, const LossInputs& inputs) {
  RunMemory memory(backend);
  const float* logits = memory.input("logits", inputs.logits);
  const std::int32_t* labels = memory.input("labels", inputs.labels);
  float* d_logits = evaluation ? nullptr : memory.output<float>("d_logits", std::int64_t{batch} * classes);
  const float* teacher = inputs.teacher.empty() ? nullptr : memory.input("teacher", inputs.teacher);
  backend.softmax_cross_entropy({batch,
                                 classes,
                                 logits,
                                 labels,
                                 d_logits,
                                 memory.step_inputs({.mix = {.weight = inputs.mixed_weight}}),
                                 memory.metrics(),
                                 inputs.label_smoothing,
                                 {teacher, inputs.teacher_weight, inputs.temperature},
                                 inputs.mixed_weight < 1});
  return memory.finish();
}

// ---- input --------------------------------------------------------------------------------------------------------

Outputs run_take_step_inputs(Backend& backend) {
  RunMemory memory(backend);
  constexpr std::int64_t words = sizeof(StepInputs) / sizeof(std::int32_t);
  RandomTensors random("step inputs");
  const auto* steps = memory.input("steps", random.integers(3 * words, 1000));
  auto* taken = memory.in_out("taken", std::vector<std::int32_t>{1, 0});  // the halves of an std::int64_t
  auto* inputs = memory.output<std::int32_t>("inputs", words);
  backend.take_step_inputs({reinterpret_cast<const StepInputs*>(steps), reinterpret_cast<std::int64_t*>(taken),
                            reinterpret_cast<StepInputs*>(inputs)});
  return memory.finish();
}

AugmentInputs make_inputs(const cases::AugmentCase& c) {
  RandomTensors random("augment " + c.name);
  return {random.integers<std::uint8_t>(std::int64_t{c.images} * c.height * c.width * c.channels, 256),
          random.integers(c.images, 10), random.integers(c.images, static_cast<std::uint32_t>(c.images)),
          random.integers(c.images, 1000)};
}

Outputs run_augment(Backend& backend, const AugmentRule& rule, int batch, StepInputs step, DType dtype,
                    const AugmentInputs& inputs) {
  RunMemory memory(backend);
  const BatchRows source{memory.bytes("images", inputs.images), memory.input("labels", inputs.labels),
                         memory.input("rows", inputs.rows), memory.input("samples", inputs.samples)};
  const Shape shape{batch, rule.height, rule.width, rule.channels};
  const TensorView output{dtype, shape, memory.output("output", dtype, shape.numel())};
  backend.augment(
      {rule, source, memory.step_inputs(step), batch, output, memory.output<std::int32_t>("batch labels", batch)});
  return memory.finish();
}

MixInputs make_inputs(const cases::MixCase& c) {
  RandomTensors random("mix " + c.name);
  return {random.normal(std::int64_t{c.batch} * c.height * c.width * c.channels, 0.0F, 1.0F)};
}

Outputs run_mix(Backend& backend, const cases::MixCase& c, DType dtype, const MixInputs& inputs) {
  RunMemory memory(backend);
  const TensorView images{
      dtype, {c.batch, c.height, c.width, c.channels}, memory.in_out("images", dtype, inputs.images)};
  backend.mix_images({memory.step_inputs({.mix = c.mix}), c.batch, images});
  return memory.finish();
}

}  // namespace bsq::test
