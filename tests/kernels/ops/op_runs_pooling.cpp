// Runs of pooling and flattening. See op_runs.h.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/random_tensors.h"

#include <algorithm>
#include <numeric>

namespace bsq::test {
namespace {

PoolInputs make(const std::string& name, std::int64_t input_count, std::int64_t output_count, bool unit) {
  RandomTensors random(name);
  PoolInputs inputs{random.normal(input_count, 0.5F, 1.0F), random.normal(output_count, 0.0F, 1.0F),
                    random.normal(input_count, 0.0F, 1.0F)};
  if (unit) inputs.unit = {0.75F, -1.25F};
  return inputs;
}

void* place_gradient(RunMemory& memory, DType dtype, const PoolInputs& inputs, GradMode mode) {
  return mode == GradMode::accumulate ? memory.in_out("d_input", dtype, inputs.d_input_before)
                                      : memory.output("d_input", dtype, static_cast<std::int64_t>(inputs.input.size()));
}

}  // namespace

// ---- of a whole image -----------------------------------------------------------------------------------------------

PoolInputs make_inputs(const cases::PoolCase& c) {
  return make("pool " + c.name, std::int64_t{c.batch} * c.pixels * c.channels, std::int64_t{c.batch} * c.channels,
              c.unit);
}

Outputs run_pool_forward(Backend& backend, const PoolGeometry& geometry, const PoolInputs& inputs) {
  RunMemory memory(backend);
  const void* input = memory.input("input", geometry.dtype, inputs.input);
  auto* output = memory.output<float>("output", std::int64_t{geometry.batch} * geometry.channels);
  backend.average_pool_forward({geometry, input, place_unit(memory, "unit", inputs.unit), output});
  return memory.finish();
}

Outputs run_pool_backward(Backend& backend, const PoolGeometry& geometry, const PoolInputs& inputs, GradMode mode) {
  RunMemory memory(backend);
  const float* d_output = memory.input("d_output", inputs.d_output);
  void* d_input = place_gradient(memory, geometry.dtype, inputs, mode);
  backend.average_pool_backward({geometry, d_output, place_unit(memory, "unit", inputs.unit), d_input, mode});
  return memory.finish();
}

// ---- of windows -----------------------------------------------------------------------------------------------------

PoolInputs make_inputs(const cases::MaxPoolCase& c) {
  const MaxPoolGeometry geometry = c.geometry(DType::f32);
  PoolInputs inputs =
      make("max_pool " + c.name, geometry.input_shape().numel(), geometry.output_shape().numel(), false);
  RandomTensors random("numbers of max_pool " + c.name);
  const auto count = static_cast<std::int64_t>(inputs.input.size());
  if (c.levels > 0) {
    const std::vector<std::int32_t> levels = random.integers(count, static_cast<std::uint32_t>(c.levels));
    for (std::size_t i = 0; i < levels.size(); ++i) inputs.input[i] = static_cast<float>(levels[i] - c.levels / 2);
    return inputs;
  }
  std::vector<std::size_t> order(inputs.input.size());  // by what they are now
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return inputs.input[a] < inputs.input[b]; });
  for (std::size_t rank = 0; rank < order.size(); ++rank)
    inputs.input[order[rank]] = static_cast<float>(static_cast<std::int64_t>(rank) - count / 2);
  return inputs;
}

Outputs run_max_pool_forward(Backend& backend, const MaxPoolGeometry& geometry, const PoolInputs& inputs) {
  RunMemory memory(backend);
  const void* input = memory.input("input", geometry.dtype, inputs.input);
  const std::int64_t outputs = geometry.output_shape().numel();
  void* output = memory.output("output", geometry.dtype, outputs);
  backend.max_pool_forward({geometry, input, output, memory.output<std::uint8_t>("winners", outputs)});
  backend.max_pool_forward({geometry, input, memory.output("without winners", geometry.dtype, outputs), nullptr});
  return memory.finish();
}

Outputs run_max_pool_backward(Backend& backend, const MaxPoolGeometry& geometry, const PoolInputs& inputs,
                              GradMode mode) {
  RunMemory memory(backend);
  const void* input = memory.input("input", geometry.dtype, inputs.input);
  const void* d_output = memory.input("d_output", geometry.dtype, inputs.d_output);
  const std::int64_t outputs = geometry.output_shape().numel();
  auto* winners = memory.output<std::uint8_t>("winners", outputs);
  backend.max_pool_forward({geometry, input, memory.output("output", geometry.dtype, outputs), winners});
  backend.max_pool_backward({geometry, d_output, winners, place_gradient(memory, geometry.dtype, inputs, mode), mode});
  Outputs written = memory.finish();
  written.erase("output");
  written.erase("winners");
  return written;
}

PoolInputs make_inputs(const cases::WindowAverageCase& c) {
  const WindowAverageGeometry geometry = c.geometry(DType::f32);
  return make("window_average " + c.name, geometry.input_shape().numel(), geometry.output_shape().numel(), c.unit);
}

Outputs run_window_average_forward(Backend& backend, const WindowAverageGeometry& geometry, const PoolInputs& inputs) {
  RunMemory memory(backend);
  const void* input = memory.input("input", geometry.dtype, inputs.input);
  void* output = memory.output("output", geometry.dtype, geometry.output_shape().numel());
  backend.window_average_forward({geometry, input, place_unit(memory, "unit", inputs.unit), output});
  return memory.finish();
}

Outputs run_window_average_backward(Backend& backend, const WindowAverageGeometry& geometry, const PoolInputs& inputs,
                                    GradMode mode) {
  RunMemory memory(backend);
  const void* d_output = memory.input("d_output", geometry.dtype, inputs.d_output);
  void* d_input = place_gradient(memory, geometry.dtype, inputs, mode);
  backend.window_average_backward({geometry, d_output, place_unit(memory, "unit", inputs.unit), d_input, mode});
  return memory.finish();
}

// ---- flattening -----------------------------------------------------------------------------------------------------

PoolInputs make_inputs(const cases::FlattenCase& c) {
  const std::int64_t count = std::int64_t{c.batch} * c.pixels * c.channels;
  return make("flatten " + c.name, count, count, c.unit);
}

Outputs run_flatten_forward(Backend& backend, const FlattenGeometry& geometry, const PoolInputs& inputs) {
  RunMemory memory(backend);
  const void* input = memory.input("input", geometry.dtype, inputs.input);
  auto* output = memory.output<float>("output", static_cast<std::int64_t>(inputs.input.size()));
  backend.flatten_forward({geometry, input, place_unit(memory, "unit", inputs.unit), output});
  return memory.finish();
}

Outputs run_flatten_backward(Backend& backend, const FlattenGeometry& geometry, const PoolInputs& inputs,
                             GradMode mode) {
  RunMemory memory(backend);
  const float* d_output = memory.input("d_output", inputs.d_output);
  void* d_input = place_gradient(memory, geometry.dtype, inputs, mode);
  backend.flatten_backward({geometry, d_output, place_unit(memory, "unit", inputs.unit), d_input, mode});
  return memory.finish();
}

}  // namespace bsq::test
