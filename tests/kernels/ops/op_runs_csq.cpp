// Runs of the operators on weights whose planes and masks are gates. See op_runs.h.
#include "tests/kernels/ops/op_runs.h"

#include "tests/support/random_tensors.h"

#include <algorithm>

namespace bsq::test {
namespace {

StepInputs step_of(const cases::CsqCase& c, float learning_rate) {
  StepInputs inputs;
  inputs.learning_rate = learning_rate;
  inputs.method = c.numbers.to_method();
  return inputs;
}

DeviceTable<CsqTensor> upload_tensors(RunMemory& memory, const std::vector<CsqTensor>& tensors) {
  return {tensors, memory.bytes("table", tensors)};
}

/// Values where tensors are, and in between what nobody may touch.
std::vector<float> with_gaps(const std::vector<float>& values, const std::vector<CsqTensor>& tensors, bool planes) {
  std::vector<float> result(values.size(), 12345.0F);
  for (const CsqTensor& tensor : tensors) {
    const std::int64_t count = planes ? 2 * tensor.bits * tensor.numel : tensor.numel;
    const auto from = values.begin() + (planes ? tensor.plane_offset : tensor.weight_offset);
    std::copy(from, from + count, result.begin() + (from - values.begin()));
  }
  return result;
}

}  // namespace

CsqInputs make_inputs(const cases::CsqCase& c) {
  const std::vector<CsqTensor> tensors = c.tensors();
  RandomTensors random("csq " + c.name);
  CsqInputs inputs;
  inputs.planes = with_gaps(random.normal(c.plane_arena_size(), 0.1F, 0.3F), tensors, true);
  inputs.momentum = with_gaps(random.normal(c.plane_arena_size(), 0.0F, 0.02F), tensors, true);
  inputs.d_weights = with_gaps(random.normal(c.weight_arena_size(), 0.0F, 0.1F), tensors, false);
  inputs.scales = random.uniform(std::ssize(tensors), 0.2F, 1.0F);
  inputs.scale_momentum = random.normal(std::ssize(tensors), 0.0F, 0.1F);
  inputs.masks = random.normal(c.mask_count(), 0.0F, 0.2F);
  inputs.masks[0] = 0;  // counts while it is soft
  inputs.mask_momentum = random.normal(c.mask_count(), 0.0F, 0.02F);
  return inputs;
}

Outputs run_weights_from_csq(Backend& backend, const cases::CsqCase& c, const CsqInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<CsqTensor> tensors = c.tensors();
  auto* budget = memory.output<double>("budget", sizeof(CsqBudget) / sizeof(double));
  backend.weights_from_csq({.tensors = upload_tensors(memory, tensors),
                            .inputs = memory.step_inputs(step_of(c, 0)),
                            .planes = memory.input("planes", inputs.planes),
                            .scales = memory.input("scales", inputs.scales),
                            .masks = memory.input("masks", inputs.masks),
                            .weights = memory.output<float>("weights", c.weight_arena_size()),
                            .budget = reinterpret_cast<CsqBudget*>(budget)});
  return memory.finish();
}

Outputs run_csq_step(Backend& backend, const cases::CsqCase& c, const CsqInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<CsqTensor> tensors = c.tensors();
  const DeviceTable<CsqTensor> table = upload_tensors(memory, tensors);
  backend.csq_step({.tensors = table,
                    .rule = c.rule,
                    .inputs = memory.step_inputs(step_of(c, inputs.learning_rate)),
                    .d_weights = memory.input("d_weights", inputs.d_weights),
                    .budget = memory.bytes("budget", std::vector<CsqBudget>{inputs.budget}),
                    .planes = memory.in_out("planes", inputs.planes),
                    .plane_momentum = memory.in_out("momentum", inputs.momentum),
                    .scales = memory.in_out("scales", inputs.scales),
                    .scale_momentum = memory.in_out("scale_momentum", inputs.scale_momentum),
                    .masks = memory.in_out("masks", inputs.masks),
                    .mask_momentum = memory.in_out("mask_momentum", inputs.mask_momentum),
                    .metrics = memory.metrics(),
                    .scratch = memory.scratch(backend.csq_scratch_bytes(table))});
  return memory.finish();
}

}  // namespace bsq::test
