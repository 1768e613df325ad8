// Runs of the operators on weights whose last bit a penalty empties.
#include "tests/kernels/ops/weight_arenas.h"
#include "tests/support/random_tensors.h"

namespace bsq::test {

MsqInputs make_inputs(const cases::MsqCase& c) {
  const std::vector<MsqTensor> tensors = c.tensors();
  RandomTensors random("msq " + c.name);
  MsqInputs inputs;
  inputs.u = with_gaps(random.uniform(c.arena_size(), -1.0F, 1.0F), tensors);
  inputs.momentum = with_gaps(random.normal(c.arena_size(), 0.0F, 0.02F), tensors);
  inputs.d_weights = with_gaps(random.normal(c.arena_size(), 0.0F, 0.1F), tensors);
  inputs.scales = random.uniform(std::ssize(tensors), 0.5F, 1.0F);
  inputs.scale_momentum = random.normal(std::ssize(tensors), 0.0F, 0.01F);
  return inputs;
}

Outputs run_weights_from_msq(Backend& backend, const cases::MsqCase& c, const MsqInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<MsqTensor> tensors = c.tensors();
  const DeviceTable<MsqTensor> table = upload_table(memory, tensors);
  const float* u = memory.input("u", inputs.u);
  const float* scales = memory.input("scales", inputs.scales);
  float* weights = weight_output(memory, c.storage, c.arena_size());
  auto* weight_units = memory.output<float>("weight_units", std::ssize(tensors));
  backend.weights_from_msq({table, u, scales, weights, weight_units});
  Outputs outputs = memory.finish();
  read_weights(tensors, outputs);
  return outputs;
}

Outputs run_msq_step(Backend& backend, const cases::MsqCase& c, const MsqInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<MsqTensor> tensors = c.tensors();
  const DeviceTable<MsqTensor> table = upload_table(memory, tensors);
  const float* d_weights = memory.input("d_weights", inputs.d_weights);
  float* u = memory.in_out("u", inputs.u);
  float* momentum = memory.in_out("momentum", inputs.momentum);
  float* scales = memory.in_out("scales", inputs.scales);
  float* scale_momentum = memory.in_out("scale_momentum", inputs.scale_momentum);
  StepInputs step = step_with(inputs.learning_rate);
  step.method[0] = c.strength;
  backend.msq_step({table, c.rule, memory.step_inputs(step), d_weights, u, momentum, scales, scale_momentum,
                    memory.scratch(backend.msq_scratch_bytes(table))});
  return memory.finish();
}

}  // namespace bsq::test
