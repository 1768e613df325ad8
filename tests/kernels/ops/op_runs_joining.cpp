// Runs of concatenation and dropout. See op_runs.h.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/random_tensors.h"

#include <cmath>

namespace bsq::test {
namespace {

/// Of factors in device memory; none where there are no numbers.
TensorUnit place_unit(RunMemory& memory, const std::vector<float>& factors) {
  if (factors.empty()) return {};
  auto* unit = memory.in_out("unit", factors);
  return {unit, unit + 1};
}

/// Elements from the first to the last of rows that lie `pitch` apart.
std::int64_t reach(std::int64_t rows, std::int64_t pitch, int channels) {
  return (rows - 1) * pitch + channels;
}

}  // namespace

ConcatInputs make_inputs(const cases::ConcatCase& c) {
  const ConcatGeometry g = c.geometry(DType::f32);
  RandomTensors random("concat " + c.name);
  const std::int64_t part = reach(g.rows, g.input_pitch, g.channels), whole = g.rows * g.output_pitch;
  ConcatInputs inputs{random.normal(part, 0.5F, 1),
                      random.normal(whole, 0, 1),
                      random.normal(whole, 0, 1),
                      random.normal(part, 0, 1),
                      {}};
  if (c.units) inputs.unit = {0.4F, 0.03F};
  return inputs;
}

Outputs run_concat_forward(Backend& backend, const ConcatGeometry& geometry, const ConcatInputs& inputs) {
  RunMemory memory(backend);
  const void* input = memory.input("input", geometry.dtype, inputs.input);
  const TensorUnit unit = place_unit(memory, inputs.unit);
  backend.concat_forward({geometry, input, unit, memory.in_out("output", geometry.dtype, inputs.output_before)});
  return memory.finish();
}

Outputs run_concat_backward(Backend& backend, const ConcatGeometry& geometry, const ConcatInputs& inputs,
                            GradMode mode) {
  RunMemory memory(backend);
  const void* d_output = memory.input("d_output", geometry.dtype, inputs.d_output);
  const TensorUnit unit = place_unit(memory, inputs.unit);
  void* d_input = memory.in_out("d_input", geometry.dtype, inputs.d_input_before);
  backend.concat_backward({geometry, d_output, unit, d_input, mode});
  return memory.finish();
}

DropoutInputs make_inputs(const cases::DropoutCase& c) {
  RandomTensors random("dropout " + c.name);
  const std::int64_t count = c.batch * c.sample_size;
  DropoutInputs inputs{random.normal(count, 0.5F, 1), random.normal(count, 0, 1), random.normal(count, 0, 1), {}, {}};
  inputs.samples = random.integers(c.first_sample + c.batch, 50000);
  if (!c.units) return inputs;
  inputs.unit = {0.4F, 0.03F};
  for (float& value : inputs.input) value = std::nearbyint(4 * value);
  return inputs;
}

Outputs run_dropout_forward(Backend& backend, const cases::DropoutCase& c, DType dtype, const DropoutInputs& inputs) {
  RunMemory memory(backend);
  const SampleKeys keys{inputs.seed, inputs.stream,
                        memory.step_inputs({.epoch = c.epoch, .first_sample = c.first_sample}),
                        memory.input("samples", inputs.samples)};
  const void* input = memory.input("input", dtype, inputs.input);
  const TensorUnit unit = place_unit(memory, inputs.unit);
  void* output = memory.output("output", dtype, c.batch * c.sample_size);
  float* output_unit = inputs.unit.empty() ? nullptr : memory.output<float>("output_unit", 1);
  backend.dropout_forward({c.geometry(dtype), dropout_rule(c.rate), keys, input, unit, output, output_unit});
  return memory.finish();
}

Outputs run_dropout_backward(Backend& backend, const cases::DropoutCase& c, DType dtype, const DropoutInputs& inputs,
                             GradMode mode) {
  RunMemory memory(backend);
  const SampleKeys keys{inputs.seed, inputs.stream,
                        memory.step_inputs({.epoch = c.epoch, .first_sample = c.first_sample}),
                        memory.input("samples", inputs.samples)};
  const void* d_output = memory.input("d_output", dtype, inputs.d_output);
  void* d_input = memory.in_out("d_input", dtype, inputs.d_input_before);
  backend.dropout_backward(
      {c.geometry(dtype), dropout_rule(c.rate), keys, d_output, d_input, !inputs.unit.empty(), mode});
  return memory.finish();
}

}  // namespace bsq::test
