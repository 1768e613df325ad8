// Products of float32 whose operands a GPU may round to tf32, 11 significant bits; what it accumulates in is float32.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

constexpr double tf32_tolerance = 2e-3;  // 2^-9: two operands, each off by 2^-11, or 2^-10 where bits are cut off

void for_gpu_in_tf32(const std::function<void(Backend&, Backend&)>& check) {
  const auto oracle = make_reference_backend();
  if (const auto gpu = make_gpu({.allow_tf32 = true})) check(*gpu, *oracle);
}

void check_tf32(const Outputs& actual, const Outputs& expected) {
  REQUIRE(actual.size() == expected.size());
  for (const auto& [name, output] : expected) {
    const Comparison comparison = compare_scaled(actual.at(name).values, output.values, tf32_tolerance);
    INFO(name << ": " << comparison.report());
    CHECK(comparison.ok());
  }
}

TEST_CASE("conv2d in tf32 agrees with the reference", "[gpu]") {
  for_gpu_in_tf32([](Backend& backend, Backend& oracle) {
    for (const cases::ConvCase& c : cases::conv_cases()) {
      INFO("case " << c.name);
      const ConvGeometry geometry = c.geometry(DType::f32);
      const ConvInputs inputs = make_inputs(c);
      check_tf32(run_twice([&] { return run_conv_forward(backend, geometry, inputs); }),
                 run_conv_forward(oracle, geometry, inputs));
      for (const GradMode mode : grad_modes)
        check_tf32(run_twice([&] { return run_conv_backward(backend, geometry, inputs, mode); }),
                   run_conv_backward(oracle, geometry, inputs, mode));
    }
  });
}

TEST_CASE("linear in tf32 agrees with the reference", "[gpu]") {
  for_gpu_in_tf32([](Backend& backend, Backend& oracle) {
    for (const cases::LinearCase& c : cases::linear_cases()) {
      INFO("case " << c.name);
      const LinearInputs inputs = make_inputs(c);
      check_tf32(run_twice([&] { return run_linear_forward(backend, c.geometry(), inputs); }),
                 run_linear_forward(oracle, c.geometry(), inputs));
      check_tf32(run_twice([&] { return run_linear_backward(backend, c.geometry(), inputs); }),
                 run_linear_backward(oracle, c.geometry(), inputs));
    }
  });
}

}  // namespace
}  // namespace bsq::test
