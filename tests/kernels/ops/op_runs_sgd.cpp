// Runs of the operators on plain parameters, gradients and averages. See op_runs.h.
#include "tests/kernels/ops/op_runs.h"
#include "tests/kernels/ops/weight_arenas.h"
#include "tests/support/random_tensors.h"

namespace bsq::test {

SgdInputs make_inputs(const cases::SgdCase& c) {
  RandomTensors random("sgd " + c.name);
  return {random.normal(c.numel, 0.0F, 0.3F), random.normal(c.numel, 0.0F, 0.1F), random.normal(c.numel, 0.0F, 0.1F),
          c.marks()};
}

Outputs run_sgd_step(Backend& backend, const SgdRule& rule, const SgdInputs& inputs) {
  RunMemory memory(backend);
  const float* gradient = memory.input("gradient", inputs.gradient);
  float* parameter = memory.in_out("parameter", inputs.parameter);
  float* momentum = memory.in_out("momentum", inputs.momentum);
  backend.sgd_step({static_cast<std::int64_t>(inputs.parameter.size()), rule,
                    memory.step_inputs(step_with(inputs.learning_rate)), gradient, parameter, momentum,
                    inputs.marks.empty() ? nullptr : memory.bytes("marks", inputs.marks)});
  return memory.finish();
}

ClipInputs make_inputs(const cases::ClipCase& c) {
  RandomTensors random("clip " + c.name);
  const std::vector<float> gradients = random.normal(c.arena_size(), 0.0F, 0.1F);
  ClipInputs inputs{std::vector<float>(gradients.size(), gap_value),
                    random.uniform(std::ssize(c.numels), 0.002F, 0.5F)};
  for (const GradientTensor& tensor : c.tensors(nullptr))
    copy_range(gradients, tensor.weight_offset, tensor.numel, inputs.gradients);
  return inputs;
}

AverageInputs make_inputs(const cases::AverageCase& c) {
  RandomTensors random("average " + c.name);
  return {random.normal(c.arena_size(), 0.0F, 0.3F), random.normal(c.arena_size(), 0.0F, 0.3F)};
}

Outputs run_update_average(Backend& backend, const cases::AverageCase& c, const AverageInputs& inputs) {
  RunMemory memory(backend);
  const float* values = memory.input("values", inputs.values);
  const std::vector<AveragedTensor> tensors = c.tensors(values);
  const DeviceTable<AveragedTensor> table = upload_table(memory, tensors);
  backend.update_average({table, c.weight, memory.in_out("averages", inputs.averages)});
  return memory.finish();
}

Outputs run_clip_gradients(Backend& backend, const cases::ClipCase& c, const ClipInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<GradientTensor> tensors = c.tensors(memory.input("units", inputs.units));
  const DeviceTable<GradientTensor> table = upload_table(memory, tensors);
  float* gradients = memory.in_out("gradients", inputs.gradients);
  backend.clip_gradients({table, c.max_norm, gradients, memory.scratch(backend.clip_scratch_bytes(table))});
  return memory.finish();
}

Outputs run_round_to_bf16(Backend& backend, const std::vector<float>& values) {
  RunMemory memory(backend);
  const auto numel = static_cast<std::int64_t>(values.size());
  backend.round_to_bf16({numel, memory.input("values", values), memory.output("rounded", DType::bf16, numel)});
  return memory.finish();
}

}  // namespace bsq::test
