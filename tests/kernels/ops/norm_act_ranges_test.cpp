// norm_act that rounds to ranges (METHOD 16): where the right answer is known exactly, and that gradients feel nothing.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"

#include <cmath>
#include <limits>

namespace bsq::test {
namespace {

using Values = std::vector<double>;

/// One channel in evaluation with mean 0, variance 1 and epsilon 0: the term is x exactly.
NormActInputs ranged_inputs(const std::vector<float>& x) {
  NormActInputs inputs;
  inputs.x = x;
  inputs.gamma = inputs.running_var = {1};
  inputs.beta = inputs.running_mean = {0};
  inputs.clip = {2.5F};
  return inputs;
}

Values forward_with_ranges(Backend& backend, Activation activation, int act_bits, const NormActInputs& inputs) {
  const NormActRule rule{activation, act_bits, false, 0.0F};
  return run_norm_act_forward(backend, {static_cast<std::int64_t>(inputs.x.size()), 1}, rule, inputs).at("y").values;
}

/// With this range levels are 0.5 apart, from -16 to 111.5.
const std::vector<float> kHalves = {-16, 111.5F};
const std::vector<float> kWholes = {-55, 200};

}  // namespace

TEST_CASE("a term is rounded half to even to 256 levels, and clamped to them, before the shortcut is added") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = ranged_inputs({0.2F, 0.25F, 0.75F, 0.3F, -0.3F, -20, 200, 7});
    inputs.shortcut = {0.125F, 0, 0, 0.25F, 0.125F, 0.0625F, 0, -0.0625F};
    inputs.term_range = kHalves;
    CHECK(forward_with_ranges(backend, Activation::none, 0, inputs) ==
          Values{0.125, 0, 1, 0.75, -0.375, -15.9375, 111.5, 6.9375});
    CHECK(forward_with_ranges(backend, Activation::relu, 0, inputs) == Values{0.125, 0, 1, 0.75, 0, 0, 111.5, 6.9375});
  });
}

TEST_CASE("the shortcut is rounded to a range of its own, in its unit") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = ranged_inputs({0.25F, 0.25F, 0.25F, 0.25F});
    inputs.x_unit = {1, 1};
    inputs.shortcut_unit = {0.5F};
    inputs.shortcut = {1, 1.5F, -400, 1000};  // times 0.5
    inputs.shortcut_range = kWholes;
    CHECK(forward_with_ranges(backend, Activation::none, 0, inputs) == Values{0.25, 1.25, -54.75, 200.25});
    inputs.term_range = kHalves;
    CHECK(forward_with_ranges(backend, Activation::none, 0, inputs) == Values{0, 1, -55, 200});
  });
}

TEST_CASE("a result that no quantizer rounds is rounded behind the activation") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = ranged_inputs({-3, 0.2F, 0.3F, 5.9F, 7, 300});
    inputs.y_range = kHalves;
    CHECK(forward_with_ranges(backend, Activation::none, 0, inputs) == Values{-3, 0, 0.5, 6, 7, 111.5});
    CHECK(forward_with_ranges(backend, Activation::relu, 0, inputs) == Values{0, 0, 0.5, 6, 7, 111.5});
    CHECK(forward_with_ranges(backend, Activation::relu6, 0, inputs) == Values{0, 0, 0.5, 6, 6, 6});
    CHECK(forward_with_ranges(backend, Activation::pact, 0, inputs) == Values{0, 0, 0.5, 2.5, 2.5, 2.5});
  });
}

TEST_CASE("the scale of the quantizer is the largest of what the rounded term leads to") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = ranged_inputs({0.2F, 0.7F, 2.9F, 1});
    inputs.shortcut = {0, 0, 0, 0};
    inputs.term_range = kHalves;  // 0, 0.5, 3, 1; with 2 bits levels are 1 apart
    const NormActRule rule{Activation::relu, 2, false, 0.0F};
    const Outputs outputs = run_norm_act_forward(backend, {4, 1}, rule, inputs);
    CHECK(outputs.at("act_scale").values[0] == 3);
    CHECK(outputs.at("y").values == Values{0, 0, 3, 1});
  });
}

TEST_CASE("ranges reach over 0, and one of nothing but zeros has levels of 1") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = ranged_inputs({0.2F, 1, 30, 130, -1});
    inputs.y_range = {2, 127.5F};  // as from 0
    CHECK(forward_with_ranges(backend, Activation::none, 0, inputs) == Values{0, 1, 30, 127.5, 0});
    inputs.y_range = {-127.5F, -2};
    CHECK(forward_with_ranges(backend, Activation::none, 0, inputs) == Values{0, 0, 0, 0, -1});
    inputs.y_range = {0, 0};
    CHECK(forward_with_ranges(backend, Activation::none, 0, inputs) == Values{0, 1, 30, 130, 0});
  });
}

TEST_CASE("rounding to ranges swallows no NaN") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = ranged_inputs({1, std::numeric_limits<float>::quiet_NaN(), 2});
    inputs.y_range = kHalves;
    CHECK(std::isnan(forward_with_ranges(backend, Activation::relu, 0, inputs)[1]));
    inputs.y_range.clear();
    inputs.shortcut = {1, 1, 1};
    inputs.term_range = inputs.shortcut_range = kHalves;
    CHECK(std::isnan(forward_with_ranges(backend, Activation::relu6, 0, inputs)[1]));
  });
}

TEST_CASE("gradients are those of what forward would be without ranges") {
  for_each_backend([](Backend& backend) {
    for (const cases::NormActCase& c : cases::norm_act_cases()) {
      const bool has_gradients = c.rule.batch_statistics || !c.rule.normalize;
      if (c.rule.act_bits > 0 || !has_gradients || c.batch * c.pixels > 300) continue;
      INFO(c.name);
      NormActInputs inputs = make_inputs(c, DType::f32);
      const auto run = [&] {
        return run_norm_act_backward(backend, c.geometry(DType::f32), c.rule, inputs, kOverwriteBoth);
      };
      const Outputs plain = run();
      if (c.shortcut) inputs.term_range = inputs.shortcut_range = {-0.25F, 0.5F};  // most numbers lie outside
      inputs.y_range = {-0.125F, 0.75F};
      const Outputs rounded = run();
      for (const auto& [name, output] : plain) {
        INFO(name);
        CHECK(compare_exactly(rounded.at(name).values, output.values).ok());
      }
    }
  });
}

}  // namespace bsq::test
