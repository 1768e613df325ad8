// norm_act that rounds to ranges: see parity.h.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>

namespace bsq::test {
namespace {

// No multiples of what bf16 tells apart: else many numbers would lie halfway between two levels.
constexpr double kTermUnit = 0.03171, kShortcutUnit = 0.01533, kYUnit = 0.02417;

/// From -100 units on, so that some numbers lie beyond.
std::vector<float> range_of(double unit) {
  return {static_cast<float>(-100 * unit), static_cast<float>(155 * unit)};
}

NormActInputs rounding_inputs(const cases::NormActCase& c, DType dtype) {
  NormActInputs inputs = make_inputs(c, dtype);
  if (c.shortcut) {
    inputs.term_range = range_of(kTermUnit);
    inputs.shortcut_range = range_of(kShortcutUnit);
  }
  if (c.rule.act_bits == 0) inputs.y_range = range_of(kYUnit);
  return inputs;
}

/// A number halfway between two levels may be rounded to either: all others agree, and those are no more than some.
void check_but_for_ties(const Output& actual, const Output& expected, double most_apart) {
  const double tolerance = relative_tolerance(expected.dtype);
  const double usual = root_mean_square(expected.values);
  std::size_t ties = 0;
  for (std::size_t i = 0; i < expected.values.size(); ++i) {
    const double apart = std::fabs(actual.values.at(i) - expected.values[i]);
    if (apart <= tolerance * std::max(usual, std::fabs(expected.values[i]))) continue;
    ++ties;
    CHECK(apart <= most_apart + tolerance * std::max(usual, std::fabs(expected.values[i])));
  }
  CHECK(static_cast<double>(ties) <= 1 + 3 * boundary_fraction_limit * static_cast<double>(expected.values.size()));
}

}  // namespace

TEST_CASE("norm_act forward that rounds to ranges agrees with the reference but for ties") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const cases::NormActCase& c : compared_norm_act_cases()) {
        const NormActInputs inputs = rounding_inputs(c, dtype);
        if (inputs.term_range.empty() && inputs.y_range.empty()) continue;
        INFO("case " << c.name << ", " << name_of(dtype));
        const auto run = [&](Backend& on) { return run_norm_act_forward(on, c.geometry(dtype), c.rule, inputs); };
        Outputs actual = run_twice([&] { return run(backend); }), expected = run(oracle);
        double apart = kTermUnit + kShortcutUnit + kYUnit;
        if (c.rule.act_bits > 0) {
          const double step = expected.at("act_scale").values[0] / ((1 << c.rule.act_bits) - 1);
          apart = c.units ? std::ceil(apart / step) + 1 : apart + 2 * step;
        }
        check_but_for_ties(actual.at("y"), expected.at("y"), apart);
        actual.erase("y");
        expected.erase("y");
        check_outputs(actual, expected);
      }
    }
  });
}

TEST_CASE("a norm that rounds to ranges is not left to the convolution that reads it") {
  const ConvGeometry first{2, 8, 8, 16, 16, 3, 1, 1, DType::bf16};
  ConvInputs first_inputs = make_inputs(cases::ConvCase{"16 to 16", 0, 2, 8, 8, 16, 16});
  ConvInputs second_inputs = make_inputs(cases::ConvCase{"16 to 16 again", 0, 2, 8, 8, 16, 16});
  const cases::NormActCase c{"between", 0, 2, 64, 16, false, {Activation::relu, 0}};
  for_each_compared_backend([&](Backend& backend, Backend& oracle) {
    const std::vector<DType> dtypes = activation_dtypes(backend);
    if (std::find(dtypes.begin(), dtypes.end(), DType::bf16) == dtypes.end()) return;
    backend.plan_convolutions(std::vector<ConvRequest>{{first, kAllPasses}});
    oracle.plan_convolutions(std::vector<ConvRequest>{{first, kAllPasses}});
    NormActInputs inputs = make_inputs(c, DType::bf16);
    inputs.y_range = {0, 127.5F};
    const Outputs outputs = run_norm_between_convs(backend, first, first_inputs, c.rule, inputs, first, second_inputs,
                                                   /*told=*/true);
    for (const double y : outputs.at("y").values) {
      if (y == std::nearbyint(2 * y) / 2) continue;
      FAIL("y holds " << y << ", which is no multiple of 0.5");
    }
  });
}

}  // namespace bsq::test
