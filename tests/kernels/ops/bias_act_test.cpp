// norm_act where nothing is normalized, where rows of x are a part of wider ones, and behind a convolution with a bias:
// each where its right answer is known exactly.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

#include <limits>

namespace bsq::test {
namespace {

using Values = std::vector<double>;

/// Two channels.
constexpr NormActGeometry kGeometry{.rows = 3, .channels = 2};

NormActInputs biased_inputs() {
  NormActInputs inputs;
  inputs.x = {-4, 2, 0, -1, 3, 8};
  inputs.beta = {1, -2};
  inputs.x_unit = {0.5F};
  inputs.clip = {2.5F};
  inputs.d_y = {1, 2, 4, 8, 16, 32};
  return inputs;
}

NormActRule biased_rule(Activation activation, int act_bits = 0) {
  return {.activation = activation, .act_bits = act_bits, .normalize = false};
}

}  // namespace

TEST_CASE("a bias in place of the norm is added to what x means, and its gradient is the sum of what passes") {
  for_each_backend([](Backend& backend) {
    const NormActInputs inputs = biased_inputs();  // z = {-1, -1, 1, -2.5, 2.5, 2}
    const auto y = [&](Activation activation) {
      return run_norm_act_forward(backend, kGeometry, biased_rule(activation), inputs).at("y").values;
    };
    CHECK(y(Activation::none) == Values{-1, -1, 1, -2.5, 2.5, 2});
    CHECK(y(Activation::relu) == Values{0, 0, 1, 0, 2.5, 2});
    CHECK(y(Activation::pact) == Values{0, 0, 1, 0, 2.5, 2});
    const Outputs relu = run_norm_act_backward(backend, kGeometry, biased_rule(Activation::relu), inputs, {});
    CHECK(relu.at("d_x").values == Values{0, 0, 2, 0, 8, 16});
    CHECK(relu.at("d_beta").values == Values{20, 32});
    CHECK(relu.size() == 2);
    const Outputs pact = run_norm_act_backward(backend, kGeometry, biased_rule(Activation::pact), inputs, {});
    CHECK(pact.at("d_x").values == Values{0, 0, 2, 0, 0, 16});
    CHECK(pact.at("d_beta").values == Values{4, 32});
    CHECK(pact.at("d_clip").values == Values{16});
  });
}

TEST_CASE(
    "without a norm, a bias and an activation the gradients of both addends are those of the sum in their units") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = biased_inputs();
    inputs.beta.clear();
    inputs.shortcut = {1, 1, 2, 2, -3, 0.5F};
    inputs.shortcut_unit = {2};
    inputs.d_x_before = {1, 1, 1, 1, 1, 1};
    const NormActRule rule = biased_rule(Activation::none);
    CHECK(run_norm_act_forward(backend, kGeometry, rule, inputs).at("y").values == Values{0, 3, 4, 3.5, -4.5, 5});
    const Outputs gradients = run_norm_act_backward(backend, kGeometry, rule, inputs, {.x = GradMode::accumulate});
    CHECK(gradients.at("d_x").values == Values{1.5, 2, 3, 5, 9, 17});
    CHECK(gradients.at("d_shortcut").values == Values{2, 4, 8, 16, 32, 64});
    CHECK(gradients.size() == 2);
  });
}

TEST_CASE("without an activation backward reads neither addend: their memory may hold anything by then") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = biased_inputs();
    inputs.shortcut = inputs.x;
    const NormActRule rule = biased_rule(Activation::none);
    const Outputs expected = run_norm_act_backward(backend, kGeometry, rule, inputs, {});
    for (std::vector<float>* addend : {&inputs.x, &inputs.shortcut})
      addend->assign(addend->size(), std::numeric_limits<float>::quiet_NaN());
    for (const auto& [name, output] : run_norm_act_backward(backend, kGeometry, rule, inputs, {}))
      CHECK(output.values == expected.at(name).values);
  });
}

TEST_CASE("without a norm the quantizer scales by the largest magnitude in training and in evaluation") {
  for_each_backend([](Backend& backend) {
    for (const bool training : {true, false}) {
      NormActInputs inputs = biased_inputs();
      inputs.x = {-4, 2, 0, 20, 3, 8};  // z = {-1, -1, 1, 8, 2.5, 2}
      NormActRule rule = biased_rule(Activation::relu6, 2);
      rule.batch_statistics = training;
      const Outputs outputs = run_norm_act_forward(backend, kGeometry, rule, inputs);
      CHECK(outputs.at("act_scale").values == Values{6});
      CHECK(outputs.at("y_unit").values == Values{2});
      CHECK(outputs.at("y").values == Values{0, 0, 0, 3, 1, 1});  // 0.5 and 1.25 levels
    }
  });
}

TEST_CASE("the bias before a norm moves the running mean alone") {
  for_each_backend([](Backend& backend) {
    for (const cases::NormActCase& c : cases::norm_act_cases()) {
      if (!c.input_bias) continue;
      INFO(c.name);
      const NormActInputs biased = make_inputs(c, DType::f32);
      NormActInputs plain = biased;
      plain.input_bias.clear();
      for (std::size_t i = 0; i < biased.running_mean.size(); ++i)  // evaluation takes it off
        plain.running_mean[i] -= c.rule.batch_statistics ? 0 : biased.input_bias[i];
      Outputs with = run_norm_act_forward(backend, c.geometry(DType::f32), c.rule, biased);
      Outputs without = run_norm_act_forward(backend, c.geometry(DType::f32), c.rule, plain);
      for (std::size_t i = 0; i < biased.running_mean.size(); ++i) {
        const double moved = with.at("running_mean").values[i] - without.at("running_mean").values[i];
        const double share = c.rule.batch_statistics ? 0.1 : 1.0;
        CHECK(moved == Approx(share * double{biased.input_bias[i]}).margin(1e-6));
      }
      with.erase("running_mean");
      without.erase("running_mean");
      for (const auto& [name, output] : without) {
        INFO(name);
        CHECK(compare_exactly(with.at(name).values, output.values).ok());
      }
      if (!c.rule.batch_statistics) continue;
      const Outputs gradients = run_norm_act_backward(backend, c.geometry(DType::f32), c.rule, biased, kOverwriteBoth);
      CHECK(gradients.at("d_input_bias").values == Values(biased.input_bias.size(), 0.0));
    }
  });
}

TEST_CASE("rows that are a part of wider ones give what dense ones give") {
  for_each_backend([](Backend& backend) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const cases::NormActCase& c : cases::norm_act_cases()) {
        if (c.x_pitch == 0) continue;
        INFO(c.name << ", " << name_of(dtype));
        const NormActInputs inputs = make_inputs(c, dtype);
        NormActGeometry dense = c.geometry(dtype);
        dense.x_pitch = 0;
        const auto compare = [&](const Outputs& actual, const Outputs& expected) {
          for (const auto& [name, output] : expected) {
            const Comparison comparison =
                compare_scaled(actual.at(name).values, output.values, relative_tolerance(output.dtype));
            INFO(name << ": " << comparison.report());
            if (name != "y" || c.rule.act_bits == 0) CHECK(comparison.ok());  // levels: sums differ in their order
          }
        };
        compare(run_norm_act_forward(backend, c.geometry(dtype), c.rule, inputs),
                run_norm_act_forward(backend, dense, c.rule, inputs));
        if (!c.rule.batch_statistics) continue;
        compare(run_norm_act_backward(backend, c.geometry(dtype), c.rule, inputs, kAccumulateBoth),
                run_norm_act_backward(backend, dense, c.rule, inputs, kAccumulateBoth));
      }
    }
  });
}

}  // namespace bsq::test
