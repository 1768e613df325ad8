// Runs of the operators on weights: bit planes, fixed point, plain parameters. See op_runs.h.
#include "tests/kernels/ops/op_runs.h"
#include "tests/kernels/ops/weight_arenas.h"

#include "tests/support/random_tensors.h"
#include "tests/support/tolerances.h"

#include <bit>
#include <cmath>

namespace bsq::test {
namespace {

WeightCounts* count_output(RunMemory& memory, std::size_t tensors) {
  constexpr std::size_t numbers = sizeof(WeightCounts) / sizeof(std::int64_t);
  return static_cast<WeightCounts*>(memory.output("counts", DType::i64, static_cast<std::int64_t>(tensors * numbers)));
}

/// Whether a value, in levels, is so close to a rounding boundary that a backend may rightly take either side.
bool at_boundary(double levels) {
  const double magnitude = std::fabs(levels);
  return std::fabs(magnitude - std::floor(magnitude) - 0.5) < boundary_margin_levels;
}

/// sum over b of (2^n - 1) c_b (p_b - n_b), the weight in levels before it is rounded.
double plane_levels(const PlaneTensor& tensor, const std::vector<float>& planes, std::int64_t i) {
  double levels = 0;
  for (int b = 0; b < tensor.bits; ++b) {
    const auto p = static_cast<std::size_t>(tensor.plane_offset + b * tensor.numel + i);
    const auto n = p + static_cast<std::size_t>(tensor.bits * tensor.numel);
    levels += (1 << (tensor.bits - 1 - b)) * (double{planes[p]} - planes[n]);
  }
  return levels;
}

double plane_norm(const PlaneTensor& tensor, const std::vector<float>& planes, int b) {
  double square_sum = 0;
  for (std::int64_t i = 0; i < tensor.numel; ++i) {
    const auto p = static_cast<std::size_t>(tensor.plane_offset + b * tensor.numel + i);
    const auto n = p + static_cast<std::size_t>(tensor.bits * tensor.numel);
    square_sum += double{planes[p]} * planes[p] + double{planes[n]} * planes[n];
  }
  return std::sqrt(1e-8 + square_sum);
}

}  // namespace

// ---- bit planes ---------------------------------------------------------------------------------------------------

PlaneInputs make_inputs(const cases::PlaneCase& c) {
  const std::vector<PlaneTensor> tensors = c.tensors();
  const auto tensor_count = static_cast<std::int64_t>(tensors.size());
  RandomTensors random("planes " + c.name);
  // Mostly one of p and n is active, many entries are 0, some are at the upper end.
  std::vector<float> planes = random.uniform(c.plane_arena_size(), -1.2F, 1.2F);
  for (float& plane : planes) plane = plane > 1.15F ? 2.0F : std::max(plane, 0.0F);
  const std::vector<float> momentum = random.normal(c.plane_arena_size(), 0.0F, 0.02F);
  const std::vector<float> d_weights = random.normal(c.weight_arena_size(), 0.0F, 0.1F);

  PlaneInputs inputs;
  inputs.planes.assign(planes.size(), gap_value);
  inputs.momentum.assign(planes.size(), gap_value);
  inputs.d_weights.assign(d_weights.size(), gap_value);
  for (const PlaneTensor& tensor : tensors) {
    copy_range(planes, tensor.plane_offset, 2 * tensor.bits * tensor.numel, inputs.planes);
    copy_range(momentum, tensor.plane_offset, 2 * tensor.bits * tensor.numel, inputs.momentum);
    copy_range(d_weights, tensor.weight_offset, tensor.numel, inputs.d_weights);
    for (int b = 0; b < tensor.bits; ++b) {
      inputs.plane_norms.push_back(static_cast<float>(plane_norm(tensor, planes, b)));
    }
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      if (at_boundary(plane_levels(tensor, planes, i))) {
        inputs.d_weights[static_cast<std::size_t>(tensor.weight_offset + i)] = 0;
      }
    }
  }
  inputs.scales = random.uniform(tensor_count, 0.2F, 1.0F);
  inputs.scale_momentum = random.normal(tensor_count, 0.0F, 0.1F);
  return inputs;
}

Outputs run_weights_from_planes(Backend& backend, const cases::PlaneCase& c, const PlaneInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<PlaneTensor> tensors = c.tensors();
  const DeviceTable<PlaneTensor> table = upload_table(memory, tensors);
  const float* planes = memory.input("planes", inputs.planes);
  const float* scales = memory.input("scales", inputs.scales);
  float* weights = weight_output(memory, c.storage, c.weight_arena_size());
  auto* weight_units = memory.output<float>("weight_units", std::ssize(tensors));
  auto* plane_norms = memory.output<float>("plane_norms", c.plane_count());
  backend.weights_from_planes({table, planes, scales, weights, weight_units, plane_norms,
                               memory.output<double>("penalty", 1),
                               memory.scratch(backend.planes_scratch_bytes(table))});
  Outputs outputs = memory.finish();
  read_weights(tensors, outputs);
  return outputs;
}

Outputs run_count_planes(Backend& backend, const cases::PlaneCase& c, const PlaneInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<PlaneTensor> tensors = c.tensors();
  const DeviceTable<PlaneTensor> table = upload_table(memory, tensors);
  const float* planes = memory.input("planes", inputs.planes);
  const float* scales = memory.input("scales", inputs.scales);
  backend.count_planes({table, planes, scales, count_output(memory, tensors.size())});
  return memory.finish();
}

Outputs run_planes_step(Backend& backend, const cases::PlaneCase& c, const PlaneInputs& inputs) {
  Outputs outputs = run_planes_step_to_weights(backend, c, inputs);
  for (const char* name : {"weights", "gaps", "weight_units"}) outputs.erase(name);
  return outputs;
}

Outputs run_planes_step_to_weights(Backend& backend, const cases::PlaneCase& c, const PlaneInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<PlaneTensor> tensors = c.tensors();
  const DeviceTable<PlaneTensor> table = upload_table(memory, tensors);
  const float* d_weights = memory.input("d_weights", inputs.d_weights);
  float* plane_norms = memory.in_out("plane_norms", inputs.plane_norms);
  float* planes = memory.in_out("planes", inputs.planes);
  float* momentum = memory.in_out("momentum", inputs.momentum);
  float* scales = memory.in_out("scales", inputs.scales);
  float* scale_momentum = memory.in_out("scale_momentum", inputs.scale_momentum);
  float* weights = weight_output(memory, c.storage, c.weight_arena_size());
  auto* weight_units = memory.output<float>("weight_units", std::ssize(tensors));
  double* penalty = memory.in_out("next_penalty", std::vector<double>{0.625});
  StepInputs step = step_with(inputs.learning_rate);
  step.method[0] = c.alpha;
  backend.planes_step({table, c.rule, memory.step_inputs(step), d_weights, planes, momentum, scales, scale_momentum,
                       weights, weight_units, plane_norms, penalty, memory.metrics(),
                       memory.scratch(backend.planes_scratch_bytes(table))});
  Outputs outputs = memory.finish();
  read_weights(tensors, outputs);
  return outputs;
}

// ---- fixed point --------------------------------------------------------------------------------------------------

FixedInputs make_inputs(const cases::FixedCase& c) {
  const std::vector<FixedTensor> tensors = c.tensors();
  const auto tensor_count = static_cast<std::int64_t>(tensors.size());
  RandomTensors random("fixed " + c.name);
  FixedInputs inputs;
  inputs.u = with_gaps(random.uniform(c.arena_size(), -1.0F, 1.0F), tensors);
  inputs.momentum = with_gaps(random.normal(c.arena_size(), 0.0F, 0.02F), tensors);
  inputs.d_weights = with_gaps(random.normal(c.arena_size(), 0.0F, 0.1F), tensors);
  for (const FixedTensor& tensor : tensors) {
    for (auto i = static_cast<std::size_t>(tensor.weight_offset);
         i < static_cast<std::size_t>(tensor.weight_offset + tensor.numel); ++i) {
      if (at_boundary(double{inputs.u[i]} * ((1 << tensor.bits) - 1))) inputs.d_weights[i] = 0;
    }
  }
  inputs.scales = random.uniform(tensor_count, 0.2F, 1.0F);
  inputs.scale_momentum = random.normal(tensor_count, 0.0F, 0.1F);
  return inputs;
}

Outputs run_weights_from_fixed(Backend& backend, const cases::FixedCase& c, const FixedInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<FixedTensor> tensors = c.tensors();
  const DeviceTable<FixedTensor> table = upload_table(memory, tensors);
  const float* u = memory.input("u", inputs.u);
  const float* scales = memory.input("scales", inputs.scales);
  float* weights = weight_output(memory, c.storage, c.arena_size());
  auto* weight_units = memory.output<float>("weight_units", std::ssize(tensors));
  backend.weights_from_fixed({table, u, scales, weights, weight_units});
  Outputs outputs = memory.finish();
  read_weights(tensors, outputs);
  return outputs;
}

Outputs run_count_fixed(Backend& backend, const cases::FixedCase& c, const FixedInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<FixedTensor> tensors = c.tensors();
  const DeviceTable<FixedTensor> table = upload_table(memory, tensors);
  const float* u = memory.input("u", inputs.u);
  const float* scales = memory.input("scales", inputs.scales);
  backend.count_fixed({table, u, scales, count_output(memory, tensors.size())});
  return memory.finish();
}

Outputs run_fixed_step(Backend& backend, const cases::FixedCase& c, const FixedInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<FixedTensor> tensors = c.tensors();
  const DeviceTable<FixedTensor> table = upload_table(memory, tensors);
  const float* d_weights = memory.input("d_weights", inputs.d_weights);
  float* u = memory.in_out("u", inputs.u);
  float* momentum = memory.in_out("momentum", inputs.momentum);
  float* scales = memory.in_out("scales", inputs.scales);
  float* scale_momentum = memory.in_out("scale_momentum", inputs.scale_momentum);
  backend.fixed_step({table, c.rule, memory.step_inputs(step_with(inputs.learning_rate)), d_weights, u, momentum,
                      scales, scale_momentum, memory.scratch(backend.fixed_scratch_bytes(table))});
  return memory.finish();
}

// ---- weights whose step is trained ----------------------------------------------------------------------------------

LsqInputs make_inputs(const cases::LsqCase& c) {
  const std::vector<LsqTensor> tensors = c.tensors();
  RandomTensors random("lsq " + c.name);
  LsqInputs inputs;
  inputs.w = with_gaps(random.normal(c.arena_size(), 0.0F, 0.5F), tensors);
  inputs.momentum = with_gaps(random.normal(c.arena_size(), 0.0F, 0.02F), tensors);
  inputs.d_weights = with_gaps(random.normal(c.arena_size(), 0.0F, 0.1F), tensors);
  inputs.steps = random.uniform(c.steps(), 0.5F, 1.0F);
  for (const LsqTensor& tensor : tensors)
    for (std::int32_t row = 0; row < tensor.rows; ++row)
      inputs.steps[static_cast<std::size_t>(tensor.first_step + row)] /= static_cast<float>(std::max(tensor.high, 1));
  inputs.step_momentum = random.normal(c.steps(), 0.0F, 0.01F);
  return inputs;
}

Outputs run_weights_from_lsq(Backend& backend, const cases::LsqCase& c, const LsqInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<LsqTensor> tensors = c.tensors();
  const DeviceTable<LsqTensor> table = upload_table(memory, tensors);
  const float* w = memory.input("w", inputs.w);
  const float* steps = memory.input("steps", inputs.steps);
  float* weights = weight_output(memory, c.storage, c.arena_size());
  auto* weight_units = memory.in_out("weight_units", std::vector<float>(tensors.size(), -1.0F));
  backend.weights_from_lsq({table, w, steps, weights, weight_units});
  Outputs outputs = memory.finish();
  read_weights(tensors, outputs);
  return outputs;
}

Outputs run_lsq_step(Backend& backend, const cases::LsqCase& c, const LsqInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<LsqTensor> tensors = c.tensors();
  const DeviceTable<LsqTensor> table = upload_table(memory, tensors);
  const float* d_weights = memory.input("d_weights", inputs.d_weights);
  float* w = memory.in_out("w", inputs.w);
  float* momentum = memory.in_out("momentum", inputs.momentum);
  float* steps = memory.in_out("steps", inputs.steps);
  float* step_momentum = memory.in_out("step_momentum", inputs.step_momentum);
  backend.lsq_step({table, c.rule, memory.step_inputs(step_with(inputs.learning_rate)), d_weights, w, momentum, steps,
                    step_momentum, memory.scratch(backend.lsq_scratch_bytes(table)),
                    c.measures ? memory.in_out("sensitivities", std::vector<float>(c.numels.size(), 0.5F)) : nullptr});
  return memory.finish();
}

// ---- weights on odd levels ------------------------------------------------------------------------------------------

DorefaInputs make_inputs(const cases::DorefaCase& c) {
  RandomTensors random("dorefa " + c.name);
  const std::vector<DorefaTensor> tensors = c.tensors();
  DorefaInputs inputs;
  inputs.v = with_gaps(random.normal(c.arena_size(), 0.0F, 0.7F), tensors);
  inputs.momentum = with_gaps(random.normal(c.arena_size(), 0.0F, 0.02F), tensors);
  inputs.d_weights = with_gaps(random.normal(c.arena_size(), 0.0F, 0.1F), tensors);
  return inputs;
}

Outputs run_weights_from_dorefa(Backend& backend, const cases::DorefaCase& c, const DorefaInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<DorefaTensor> tensors = c.tensors();
  const DeviceTable<DorefaTensor> table = upload_table(memory, tensors);
  const float* v = memory.input("v", inputs.v);
  float* weights = weight_output(memory, c.storage, c.arena_size());
  auto* units = memory.output<float>("weight_units", std::ssize(tensors));
  auto* peaks = static_cast<DorefaPeak*>(memory.output("peaks", DType::f32, 2 * std::ssize(tensors)));
  backend.weights_from_dorefa({table, v, weights, units, peaks, memory.scratch(backend.dorefa_scratch_bytes(table))});
  Outputs outputs = memory.finish();
  read_weights(tensors, outputs);
  std::vector<double>& numbers = outputs.at("peaks").values;
  for (std::size_t i = 1; i < numbers.size(); i += 2)  // an index that was read as a float
    numbers[i] = std::bit_cast<std::int32_t>(static_cast<float>(numbers[i]));
  return outputs;
}

Outputs run_dorefa_step(Backend& backend, const cases::DorefaCase& c, const DorefaInputs& inputs) {
  RunMemory memory(backend);
  const std::vector<DorefaTensor> tensors = c.tensors();
  const DeviceTable<DorefaTensor> table = upload_table(memory, tensors);
  const float* d_weights = memory.input("d_weights", inputs.d_weights);
  float* v = memory.in_out("v", inputs.v);
  float* momentum = memory.in_out("momentum", inputs.momentum);
  const std::vector<float> peaks = std::vector<float>(2 * tensors.size());
  auto* found = reinterpret_cast<DorefaPeak*>(memory.in_out("peaks", peaks));
  void* scratch = memory.scratch(backend.dorefa_scratch_bytes(table));
  float* weights = weight_output(memory, c.storage, c.arena_size());
  auto* units = memory.output<float>("weight_units", std::ssize(tensors));
  backend.weights_from_dorefa({table, v, weights, units, found, scratch});
  backend.dorefa_step(
      {table, c.rule, memory.step_inputs(step_with(inputs.learning_rate)), d_weights, found, v, momentum, scratch});
  Outputs outputs = memory.finish();
  for (const char* of_forward : {"peaks", "weights", "weight_units"}) outputs.erase(of_forward);
  return outputs;
}

}  // namespace bsq::test
