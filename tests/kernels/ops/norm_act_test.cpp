// norm_act: the statistics, the activations and the quantizer, each where its right answer is known exactly.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

#include <cmath>
#include <limits>

namespace bsq::test {
namespace {

/// One channel in evaluation with mean 0, variance 1 and epsilon 0: z = x exactly.
NormActInputs identity_inputs(const std::vector<float>& x) {
  NormActInputs inputs;
  inputs.x = x;
  inputs.gamma = inputs.running_var = {1};
  inputs.beta = inputs.running_mean = {0};
  inputs.clip = {2.5F};
  return inputs;
}

std::vector<double> identity_norm_act(Backend& backend, Activation activation, int act_bits,
                                      const std::vector<float>& x) {
  const NormActRule rule{activation, act_bits, false, 0.0F};
  const NormActGeometry geometry{static_cast<std::int64_t>(x.size()), 1};
  return run_norm_act_forward(backend, geometry, rule, identity_inputs(x)).at("y").values;
}

/// One channel of rows -1, 1, -1, 1, ...: mean 0 and variance 1, so that with epsilon 0 z = x + shortcut exactly.
NormActInputs alternating_inputs(const std::vector<float>& z) {
  NormActInputs inputs = identity_inputs(z);
  for (std::size_t i = 0; i < z.size(); ++i) {
    inputs.x[i] = i % 2 == 0 ? -1.0F : 1.0F;
    inputs.shortcut.push_back(z[i] - inputs.x[i]);
    inputs.d_y.push_back(static_cast<float>(i + 1));
  }
  return inputs;
}

Outputs alternating_backward(Backend& backend, Activation activation, const std::vector<float>& z) {
  const NormActRule rule{activation, 0, true, 0.0F};
  return run_norm_act_backward(backend, {static_cast<std::int64_t>(z.size()), 1}, rule, alternating_inputs(z),
                               kOverwriteBoth);
}

const cases::NormActCase& case_named(const std::vector<cases::NormActCase>& all, const std::string& name) {
  for (const cases::NormActCase& c : all) {
    if (c.name == name) return c;
  }
  FAIL("no case '" << name << "'");
  return all.front();
}

}  // namespace

TEST_CASE("running statistics take a share of the batch mean and of the unbiased variance") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = identity_inputs({1, 2, 3, 4});  // mean 2.5, unbiased variance 5 / 3
    const Outputs outputs = run_norm_act_forward(backend, {4, 1}, {Activation::none, 0}, inputs);
    const double rounding = relative_tolerance(DType::f32);
    CHECK(outputs.at("running_mean").values[0] == Approx(0.1 * 2.5).epsilon(rounding));
    CHECK(outputs.at("running_var").values[0] == Approx(0.9 + 0.1 * 5 / 3).epsilon(rounding));
    CHECK(outputs.at("mean").values[0] == 2.5);
    CHECK(outputs.at("inv_std").values[0] == Approx(1 / std::sqrt(1.25 + 1e-5)).epsilon(rounding));  // biased
  });
}

TEST_CASE("evaluation uses the running statistics and leaves them as they are") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = identity_inputs({1, 2, 3, 5});
    inputs.running_mean = {3};
    inputs.running_var = {4};
    const Outputs outputs = run_norm_act_forward(backend, {4, 1}, {Activation::none, 0, false, 0.0F}, inputs);
    CHECK(outputs.at("y").values == std::vector<double>{-1, -0.5, 0, 1});
    CHECK(outputs.at("running_mean").values[0] == 3);
    CHECK(outputs.at("running_var").values[0] == 4);
    CHECK(outputs.at("mean").values[0] == 3);
    CHECK(outputs.at("inv_std").values[0] == 0.5);
  });
}

TEST_CASE("the activations clamp where they should") {
  for_each_backend([](Backend& backend) {
    const std::vector<float> z = {-2, 0, 1.5, 2.5, 4, 6, 7};
    CHECK(identity_norm_act(backend, Activation::none, 0, z) == std::vector<double>{-2, 0, 1.5, 2.5, 4, 6, 7});
    CHECK(identity_norm_act(backend, Activation::relu, 0, z) == std::vector<double>{0, 0, 1.5, 2.5, 4, 6, 7});
    CHECK(identity_norm_act(backend, Activation::relu6, 0, z) == std::vector<double>{0, 0, 1.5, 2.5, 4, 6, 6});
    CHECK(identity_norm_act(backend, Activation::pact, 0, z) == std::vector<double>{0, 0, 1.5, 2.5, 2.5, 2.5, 2.5});
  });
}

TEST_CASE("the quantizer scales by the largest magnitude and rounds half to even") {
  for_each_backend([](Backend& backend) {
    // 2 bits, S = 6: levels of 2; 1 and 5 are ties (0.5 -> 0, 2.5 -> 2), 3 is one too (1.5 -> 2).
    CHECK(identity_norm_act(backend, Activation::relu, 2, {0, 1, 1.25, 3, 5, 5.5, 6}) ==
          std::vector<double>{0, 0, 2, 4, 4, 6, 6});
    // Without an activation the largest magnitude may be that of a negative value.
    CHECK(identity_norm_act(backend, Activation::none, 2, {-6, -3, -1, 0, 1.5, 3}) ==
          std::vector<double>{-6, -4, 0, 0, 2, 4});
    CHECK(identity_norm_act(backend, Activation::relu, 1, {-1, 1, 2, 2.5, 4}) == std::vector<double>{0, 0, 0, 4, 4});
  });
}

TEST_CASE("a given activation scale is the quantizer's, and what is larger is clamped to it") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = identity_inputs({0, 0.4F, 1.5F, 2.6F, 3, 7});
    inputs.act_scale = {3};  // 2 bits: levels of 1
    const NormActRule rule{Activation::relu, 2, false, 0.0F};
    const Outputs outputs = run_norm_act_forward(backend, {6, 1}, rule, inputs);
    CHECK(outputs.at("y").values == std::vector<double>{0, 0, 2, 3, 3, 3});
    CHECK(outputs.at("act_scale").values[0] == 3);
    inputs.act_scale = {0};
    CHECK(run_norm_act_forward(backend, {6, 1}, rule, inputs).at("y").values == std::vector<double>(6, 0.0));
  });
}

TEST_CASE("act_scale is the largest activation over all channels") {
  for_each_backend([](Backend& backend) {
    const auto all = cases::norm_act_cases();
    const cases::NormActCase& c = case_named(all, "pact, 4 bits, shortcut");
    const Outputs outputs = run_norm_act_forward(backend, c.geometry(DType::f32), c.rule, make_inputs(c, DType::f32));
    const std::vector<double>& y = outputs.at("y").values;
    CHECK(outputs.at("act_scale").values[0] == 2.5);  // the clip, which some element of 1479 reaches
    CHECK(*std::max_element(y.begin(), y.end()) == 2.5);
  });
}

TEST_CASE("a tensor that is 0 everywhere is quantized to 0, and its gradients are finite") {
  for_each_backend([](Backend& backend) {
    for (const cases::NormActCase& c : cases::norm_act_cases()) {
      if (c.rule.act_bits == 0 || c.shortcut || c.batch * c.pixels > 100) continue;
      INFO(c.name);
      NormActInputs inputs = make_inputs(c, DType::f32);
      inputs.gamma.assign(inputs.gamma.size(), 0.0F);
      if (!c.rule.normalize) inputs.x.assign(inputs.x.size(), 0.0F);
      inputs.beta.assign(inputs.beta.size(), 0.0F);
      const Outputs outputs = run_norm_act_forward(backend, c.geometry(DType::f32), c.rule, inputs);
      CHECK(outputs.at("y").values == std::vector<double>(inputs.x.size(), 0.0));
      CHECK(outputs.at("act_scale").values[0] == (c.rule.activation == Activation::lsq ? inputs.clip[0] : 0));
      if (!c.rule.batch_statistics) continue;
      const Outputs gradients = run_norm_act_backward(backend, c.geometry(DType::f32), c.rule, inputs, kOverwriteBoth);
      if (!c.rule.normalize) continue;
      CHECK(gradients.at("d_x").values == std::vector<double>(inputs.x.size(), 0.0));  // gamma is 0
      for (const double d_gamma : gradients.at("d_gamma").values) CHECK(std::isfinite(d_gamma));
    }
  });
}

TEST_CASE("what is stored in units gives what its values give, with respect to what is stored") {
  for_each_backend([](Backend& backend) {
    for (const cases::NormActCase& c : cases::norm_act_cases()) {
      if (!c.units || !c.rule.batch_statistics) continue;
      INFO(c.name);
      const NormActGeometry geometry = c.geometry(DType::f32);
      const NormActInputs stored = make_inputs(c, DType::f32);
      const float x_unit = stored.x_unit[0] * stored.x_unit[1];
      const float shortcut_unit = stored.shortcut_unit[0];
      const Outputs with_units = run_norm_act_forward(backend, geometry, c.rule, stored);
      const double y_unit = c.rule.act_bits > 0 ? with_units.at("y_unit").values[0] : 1.0;

      NormActInputs values = stored;
      values.x_unit.clear();
      values.shortcut_unit.clear();
      for (float& x : values.x) x *= x_unit;
      for (float& x : values.shortcut) x *= shortcut_unit;
      for (float& d_y : values.d_y) d_y = static_cast<float>(d_y / y_unit);
      const auto check = [](std::vector<double> actual, double factor, const std::vector<double>& expected) {
        for (double& value : actual) value *= factor;
        CHECK(norm_relative_error(actual, expected) < relative_tolerance(DType::f32));
      };
      check(with_units.at("y").values, y_unit, run_norm_act_forward(backend, geometry, c.rule, values).at("y").values);
      const Outputs gradients = run_norm_act_backward(backend, geometry, c.rule, stored, kOverwriteBoth);
      for (const auto& [name, output] : run_norm_act_backward(backend, geometry, c.rule, values, kOverwriteBoth)) {
        INFO(name);
        check(gradients.at(name).values,
              name == "d_x"          ? 1 / x_unit
              : name == "d_shortcut" ? 1 / shortcut_unit
                                     : 1,
              output.values);
      }
    }
  });
}

TEST_CASE("gradients go straight through the quantizer") {
  for_each_backend([](Backend& backend) {
    for (const cases::NormActCase& c : cases::norm_act_cases()) {
      const bool has_step = c.rule.activation == Activation::lsq;  // which the quantizer moves
      if (c.rule.act_bits == 0 || has_step || !c.rule.batch_statistics || c.units) continue;
      INFO(c.name);
      const NormActInputs inputs = make_inputs(c, DType::f32);
      NormActRule unquantized = c.rule;
      unquantized.act_bits = 0;
      const Outputs through = run_norm_act_backward(backend, c.geometry(DType::f32), c.rule, inputs, kOverwriteBoth);
      const Outputs plain = run_norm_act_backward(backend, c.geometry(DType::f32), unquantized, inputs, kOverwriteBoth);
      for (const auto& [name, output] : plain) {
        INFO(name);
        CHECK(compare_exactly(through.at(name).values, output.values).ok());
      }
    }
  });
}

TEST_CASE("gradients pass strictly between the kinks, and PACT's ceiling takes those at and above it") {
  for_each_backend([](Backend& backend) {
    const std::vector<float> z = {-2, 0, 1, 2.5, 4, 6, 7, 3};  // d_y is 1, 2, ... 8
    using Values = std::vector<double>;
    CHECK(alternating_backward(backend, Activation::none, z).at("d_shortcut").values == Values{1, 2, 3, 4, 5, 6, 7, 8});
    CHECK(alternating_backward(backend, Activation::relu, z).at("d_shortcut").values == Values{0, 0, 3, 4, 5, 6, 7, 8});
    CHECK(alternating_backward(backend, Activation::relu6, z).at("d_shortcut").values ==
          Values{0, 0, 3, 4, 5, 0, 0, 8});
    const Outputs pact = alternating_backward(backend, Activation::pact, z);
    CHECK(pact.at("d_shortcut").values == Values{0, 0, 3, 0, 0, 0, 0, 0});
    CHECK(pact.at("d_clip").values[0] == 4 + 5 + 6 + 7 + 8);
    CHECK(pact.at("d_beta").values[0] == 3);
    CHECK(pact.at("d_gamma").values[0] == -3);  // xhat of row 2 is -1
  });
}

TEST_CASE("norm_act may write y over x") {
  for_each_backend([](Backend& backend) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const cases::NormActCase& c : cases::norm_act_cases()) {
        if (c.x_pitch != 0) continue;
        INFO(c.name << ", " << name_of(dtype));
        const NormActInputs inputs = make_inputs(c, dtype);
        const Outputs separate = run_norm_act_forward(backend, c.geometry(dtype), c.rule, inputs);
        const Outputs in_place = run_norm_act_forward(backend, c.geometry(dtype), c.rule, inputs, Place::in_place);
        for (const auto& [name, output] : separate) {
          INFO(name);
          CHECK(compare_exactly(in_place.at(name).values, output.values).ok());
        }
      }
    }
  });
}

TEST_CASE("a NaN in x is not swallowed by the activation or the quantizer") {
  // Otherwise a run that has diverged would go on training on zeros.
  for_each_backend([](Backend& backend) {
    for (const cases::NormActCase& c : cases::norm_act_cases()) {
      if (c.batch * c.pixels > 100) continue;
      INFO(c.name);
      NormActInputs inputs = make_inputs(c, DType::f32);
      inputs.x[inputs.x.size() / 2] = std::numeric_limits<float>::quiet_NaN();
      const Outputs outputs = run_norm_act_forward(backend, c.geometry(DType::f32), c.rule, inputs);
      bool has_nan = false;
      for (const double y : outputs.at("y").values) has_nan = has_nan || std::isnan(y);
      CHECK(has_nan);
    }
  });
}

}  // namespace bsq::test
