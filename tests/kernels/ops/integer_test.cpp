// Integer levels (METHOD 9): convolutions of them are exact, and the steps take the gradients of integers.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/integer_convolution.h"
#include "tests/support/random_tensors.h"
#include "tests/support/tolerances.h"

namespace bsq::test {
namespace {

std::vector<float> random_integers(RandomTensors& random, std::int64_t count, int lowest, int highest) {
  std::vector<float> values;
  for (const std::int32_t value : random.integers(count, static_cast<std::uint32_t>(highest - lowest + 1)))
    values.push_back(static_cast<float>(value + lowest));
  return values;
}

/// What the integer of weight i of a tensor is worth.
template <typename Tensor, typename Inputs>
float unit_of(const Tensor& tensor, const Inputs& inputs, std::size_t t, std::int64_t /*i*/) {
  return inputs.scales[t] / static_cast<float>((1 << std::max(tensor.bits, 1)) - 1);
}
float unit_of(const LsqTensor& tensor, const LsqInputs& inputs, std::size_t /*t*/, std::int64_t i) {
  return inputs.steps[static_cast<std::size_t>(tensor.first_step + i / (tensor.numel / tensor.rows))];
}
float unit_of(const MsqTensor& tensor, const MsqInputs& inputs, std::size_t t, std::int64_t /*i*/) {
  return inputs.scales[t] / static_cast<float>(1 << tensor.bits);
}
float unit_of(const DorefaTensor& tensor, const DorefaInputs& /*inputs*/, std::size_t /*t*/, std::int64_t /*i*/) {
  return tensor.scale / static_cast<float>((1 << tensor.bits) - 1);
}

/// d_weights of the weights -> of the integers that stand for them.
template <typename Tensor, typename Inputs>
void to_integer_gradients(const std::vector<Tensor>& tensors, Inputs& inputs) {
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    for (std::int64_t i = 0; i < tensors[t].numel; ++i)
      inputs.d_weights[static_cast<std::size_t>(tensors[t].weight_offset + i)] *= unit_of(tensors[t], inputs, t, i);
  }
}

/// A step from the gradients of integers is the one from the gradients of the weights they stand for.
template <typename Case, typename Run>
void check_integer_steps(const std::vector<Case>& all_cases, Run&& run) {
  for_each_backend([&](Backend& backend) {
    for (const Case& c : all_cases) {
      if (c.storage == WeightStorage::values) continue;
      INFO(c.name);
      Case with_values = c;
      with_values.storage = WeightStorage::values;
      auto inputs = make_inputs(c);
      const Outputs expected = run(backend, with_values, inputs);
      to_integer_gradients(c.tensors(), inputs);
      const Outputs actual = run(backend, c, inputs);
      for (const auto& [name, output] : expected) {
        const Comparison comparison =
            compare_scaled(actual.at(name).values, output.values, relative_tolerance(DType::f32));
        INFO(name << ": " << comparison.report());
        CHECK(comparison.ok());
      }
    }
  });
}

void check_integer_convolutions(Backend& backend, DType dtype) {
  for (const cases::ConvCase& c : cases::conv_cases()) {
    const ConvGeometry geometry = c.geometry(dtype);
    constexpr int act_bits = 4;
    INFO(c.name << ", " << name_of(dtype));
    RandomTensors random("levels " + c.name);
    const ConvInputs inputs{random_integers(random, geometry.input_shape().numel(), 0, (1 << act_bits) - 1),
                            random_integers(random, geometry.weight_shape().numel(), -255, 255),
                            {},
                            {}};
    const std::vector<float> expected = integer_convolution(geometry, inputs.input, inputs.weight);
    CHECK(run_conv_forward(backend, geometry, inputs).at("output").values ==
          std::vector<double>(expected.begin(), expected.end()));
  }
}

}  // namespace

TEST_CASE("a convolution of levels is integer arithmetic, rounded once") {
  for_each_backend([](Backend& backend) {
    for (const DType dtype : activation_dtypes(backend)) check_integer_convolutions(backend, dtype);
  });
}

TEST_CASE("a convolution of levels is integer arithmetic in tf32 as well", "[gpu]") {
  if (const auto gpu = make_gpu({.allow_tf32 = true})) check_integer_convolutions(*gpu, DType::f32);
}

TEST_CASE("planes move by the gradients of integers as by those of weights") {
  check_integer_steps(cases::plane_cases(), run_planes_step);
}

TEST_CASE("fixed-point weights move by the gradients of integers as by those of weights") {
  check_integer_steps(cases::fixed_cases(), run_fixed_step);
}

TEST_CASE("weights and steps of LSQ move by the gradients of integers as by those of weights") {
  check_integer_steps(cases::lsq_cases(), run_lsq_step);
}

TEST_CASE("weights of DoReFa move by the gradients of integers as by those of weights") {
  check_integer_steps(cases::dorefa_cases(), run_dorefa_step);
}

TEST_CASE("weights of MSQ move by the gradients of integers as by those of weights") {
  check_integer_steps(cases::msq_cases(), run_msq_step);
}

TEST_CASE("a scale of 0 has the gradient 0 where weights are integers") {
  for_each_backend([](Backend& backend) {
    cases::PlaneCase c{"zero scale", 0, {5}, {3}, 1, 0, {0, 0}, WeightStorage::integers};
    PlaneInputs inputs = make_inputs(c);
    inputs.scales = {0};
    inputs.scale_momentum = {0};
    CHECK(run_planes_step(backend, c, inputs).at("scales").values == std::vector<double>{0});
    CHECK(run_weights_from_planes(backend, c, inputs).at("weight_units").values == std::vector<double>{0});
  });
}

TEST_CASE("units of pooling multiply once in each direction") {
  for_each_backend([](Backend& backend) {
    for (const DType dtype : activation_dtypes(backend)) {
      RunMemory memory(backend);
      const PoolGeometry geometry{1, 2, 1, dtype};
      auto* factors = memory.in_out("unit", std::vector<float>{2, -0.5F});
      const TensorUnit unit{factors, factors + 1};
      const void* input = memory.input("input", dtype, {3, 5});
      const float* d_output = memory.input("d_output", std::vector<float>{8});
      backend.average_pool_forward({geometry, input, unit, memory.output<float>("output", 1)});
      backend.average_pool_backward({geometry, d_output, unit, memory.output("d_input", dtype, 2)});
      const Outputs outputs = memory.finish();
      CHECK(outputs.at("output").values == std::vector<double>{-4});
      CHECK(outputs.at("d_input").values == std::vector<double>{-4, -4});
    }
  });
}

}  // namespace bsq::test
