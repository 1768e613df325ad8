// bfloat16: the conversion, and what it buys: convolutions of integer levels that are exact (METHOD 8).
#include "kernels/bf16.h"

#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random_tensors.h"

#include <cmath>
#include <limits>

namespace bsq::test {

TEST_CASE("every bfloat16 survives the way to float and back") {
  int changed = 0;
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const bfloat16 value{static_cast<std::uint16_t>(bits)};
    if (!std::isnan(to_float(value)) && to_bfloat16(to_float(value)).bits != value.bits) ++changed;
  }
  CHECK(changed == 0);
}

TEST_CASE("conversion to bfloat16 rounds to nearest, ties to even") {
  constexpr float ulp = 1.0F / 128;  // at 1
  CHECK(to_float(to_bfloat16(1 + 0.49F * ulp)) == 1);
  CHECK(to_float(to_bfloat16(1 + 0.5F * ulp)) == 1);
  CHECK(to_float(to_bfloat16(1 + 0.51F * ulp)) == 1 + ulp);
  CHECK(to_float(to_bfloat16(1 + 1.5F * ulp)) == 1 + 2 * ulp);
  CHECK(to_float(to_bfloat16(-(1 + 1.5F * ulp))) == -(1 + 2 * ulp));
}

TEST_CASE("conversion to bfloat16 keeps infinities, NaN and the sign of zero") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(to_float(to_bfloat16(infinity)) == infinity);
  CHECK(to_float(to_bfloat16(-infinity)) == -infinity);
  CHECK(to_float(to_bfloat16(std::numeric_limits<float>::max())) == infinity);
  CHECK(std::signbit(to_float(to_bfloat16(-0.0F))));
  // A NaN whose payload sits in the lower half only must not turn into an infinity.
  CHECK(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(0x7F800001U)))));
  CHECK(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(0xFFFFFFFFU)))));
}

TEST_CASE("a bf16 convolution of integer levels is exact up to the rounding of its output") {
  for_each_backend([](Backend& backend) {
    for (const cases::ConvCase& c : cases::conv_cases()) {
      std::string why;
      if (!backend.supports(Precision::bf16, why)) continue;
      const ConvGeometry geometry = c.geometry(DType::bf16);
      INFO(c.name);
      RandomTensors random("levels " + c.name);
      ConvInputs inputs;
      inputs.input = random.uniform(geometry.input_shape().numel(), 0, 16);              // 4-bit activations
      inputs.weight = random.uniform(geometry.weight_shape().numel(), -255.5F, 255.5F);  // 8-bit weights
      for (float& level : inputs.input) level = std::floor(level);
      for (float& level : inputs.weight) level = std::nearbyint(level);
      // The oracle in double: sums of integers far below 2^53. 15 * 255 * 576 terms stay below 2^24 too.
      const auto oracle = make_reference_backend();
      std::vector<double> exact = run_conv_forward(*oracle, c.geometry(DType::f32), inputs).at("output").values;
      for (double& value : exact) value = to_float(to_bfloat16(static_cast<float>(value)));
      const Comparison comparison =
          compare_exactly(run_conv_forward(backend, geometry, inputs).at("output").values, exact);
      INFO(comparison.report());
      CHECK(comparison.ok());
    }
  });
}

}  // namespace bsq::test
