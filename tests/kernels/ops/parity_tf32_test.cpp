// Products of float32 whose operands a GPU may round to tf32, 11 significant bits; what it accumulates in is float32.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>

namespace bsq::test {
namespace {

constexpr double tf32_tolerance = 2e-3;  // 2^-9: two operands, each off by 2^-11, or 2^-10 where bits are cut off

void for_gpu_in_tf32(const std::function<void(Backend&, Backend&)>& check) {
  const auto oracle = make_reference_backend();
  if (const auto gpu = make_gpu({.allow_tf32 = true})) check(*gpu, *oracle);
}

/// `squares`: what the same sums give of squared operands. Roundings of a sum's products are as large as each of these,
/// and cancel like random numbers, so its error is measured by the root of the sum of their squares.
void check_tf32(const Outputs& actual, const Outputs& expected, const Outputs& squares) {
  REQUIRE(actual.size() == expected.size());
  for (const auto& [name, output] : expected) {
    const std::vector<double>& values = actual.at(name).values;
    REQUIRE(values.size() == output.values.size());
    std::size_t mismatches = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double size = std::max(std::abs(output.values[i]), std::sqrt(squares.at(name).values[i]));
      if (std::abs(values[i] - output.values[i]) <= tf32_tolerance * size) continue;  // false for a NaN
      if (++mismatches == 1) UNSCOPED_INFO("at " << i << ": " << values[i] << ", expected " << output.values[i]);
    }
    INFO(name << ": " << mismatches << " of " << values.size() << " differ too much");
    CHECK(mismatches == 0);
  }
}

std::vector<float> squared(std::vector<float> values) {
  for (float& value : values) value *= value;
  return values;
}

ConvInputs squared(const ConvInputs& inputs) {
  return {squared(inputs.input), squared(inputs.weight), squared(inputs.d_output), squared(inputs.d_input_before)};
}

LinearInputs squared(const LinearInputs& inputs) {
  return {squared(inputs.input), squared(inputs.weight), squared(inputs.bias), squared(inputs.d_output)};
}

TEST_CASE("conv2d in tf32 agrees with the reference", "[gpu]") {
  for_gpu_in_tf32([](Backend& backend, Backend& oracle) {
    for (const cases::ConvCase& c : cases::conv_cases()) {
      INFO("case " << c.name);
      const ConvGeometry geometry = c.geometry(DType::f32);
      const ConvInputs inputs = make_inputs(c);
      check_tf32(run_twice([&] { return run_conv_forward(backend, geometry, inputs); }),
                 run_conv_forward(oracle, geometry, inputs), run_conv_forward(oracle, geometry, squared(inputs)));
      for (const GradMode mode : grad_modes)
        check_tf32(run_twice([&] { return run_conv_backward(backend, geometry, inputs, mode); }),
                   run_conv_backward(oracle, geometry, inputs, mode),
                   run_conv_backward(oracle, geometry, squared(inputs), mode));
    }
  });
}

TEST_CASE("linear in tf32 agrees with the reference", "[gpu]") {
  for_gpu_in_tf32([](Backend& backend, Backend& oracle) {
    for (const cases::LinearCase& c : cases::linear_cases()) {
      INFO("case " << c.name);
      const LinearInputs inputs = make_inputs(c);
      check_tf32(run_twice([&] { return run_linear_forward(backend, c.geometry(), inputs); }),
                 run_linear_forward(oracle, c.geometry(), inputs),
                 run_linear_forward(oracle, c.geometry(), squared(inputs)));
      check_tf32(run_twice([&] { return run_linear_backward(backend, c.geometry(), inputs); }),
                 run_linear_backward(oracle, c.geometry(), inputs),
                 run_linear_backward(oracle, c.geometry(), squared(inputs)));
    }
  });
}

}  // namespace
}  // namespace bsq::test
