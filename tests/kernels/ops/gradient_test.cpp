// The oracle's gradients against central differences of the oracle's forward passes, through the same narrow interface
// that training uses. The loss is sum(output * d_output), accumulated in double.
//
// Only small cases: a difference costs two forward passes. Straight-through gradients have no difference to compare
// with; they are held to their formula, or to the exact slope between two points of the grid, in planes_test.cpp,
// fixed_test.cpp and norm_act_test.cpp.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/gradients.h"
#include "tests/support/tolerances.h"

namespace bsq::test {
namespace {

// What is linear in the coordinate has no truncation error, so the step can be large; what remains is the rounding of
// the outputs to float32: 6e-8 of each, over a step of 1.
constexpr float linear_step = 1.0F;
constexpr double linear_tolerance = 1e-5;

// norm_act and the loss are curved: step^2 of truncation against 6e-8 / step of rounding, best at about 4e-3.
constexpr float curved_step = 4e-3F;
constexpr double curved_tolerance = 1e-3;

// y is the clip itself or does not feel it, so that no step is too small; this one stays within the margin around the
// kinks where d_y is 0.
constexpr float clip_step = 5e-5F;

bool small(const ConvGeometry& geometry) {
  return geometry.flops() < 3e5;
}

}  // namespace

TEST_CASE("conv2d gradients are those of central differences") {
  const auto oracle = make_reference_backend();
  for (const cases::ConvCase& c : cases::conv_cases()) {
    const ConvGeometry geometry = c.geometry(DType::f32);
    if (!small(geometry)) continue;
    INFO(c.name);
    ConvInputs inputs = make_inputs(c);
    const Outputs gradients = run_conv_backward(*oracle, geometry, inputs, GradMode::overwrite);
    const auto loss = [&] {
      return dot(run_conv_forward(*oracle, geometry, inputs).at("output").values, inputs.d_output);
    };
    check_gradient("d_input", gradients.at("d_input").values, central_difference(inputs.input, linear_step, loss),
                   linear_tolerance);
    check_gradient("d_weight", gradients.at("d_weight").values, central_difference(inputs.weight, linear_step, loss),
                   linear_tolerance);
  }
}

TEST_CASE("norm_act gradients are those of central differences away from the kinks") {
  const auto oracle = make_reference_backend();
  for (const cases::NormActCase& c : cases::norm_act_cases()) {
    const NormActGeometry geometry = c.geometry(DType::f32);
    const std::int64_t count = geometry.rows * geometry.channels;
    if (!c.rule.batch_statistics || c.rule.act_bits > 0 || geometry.rows < 2 || count > 2000) continue;
    INFO(c.name);
    NormActInputs inputs = make_inputs(c, DType::f32);
    const Outputs gradients = run_norm_act_backward(*oracle, geometry, c.rule, inputs, kOverwriteBoth);

    NormActRule linear = c.rule;
    linear.activation = Activation::none;
    const auto loss = [&] {
      return dot(run_norm_act_forward(*oracle, geometry, c.rule, inputs).at("y").values, inputs.d_y);
    };
    /// On which side of its kinks every element is: 0 below, 1 between, 2 above. Those that weigh nothing do not count.
    const auto sides = [&] {
      std::vector<double> z = run_norm_act_forward(*oracle, geometry, linear, inputs).at("y").values;
      const double ceiling = c.rule.activation == Activation::pact    ? inputs.clip[0]
                             : c.rule.activation == Activation::relu6 ? 6.0
                                                                      : HUGE_VAL;
      for (std::size_t i = 0; i < z.size(); ++i) {
        const bool smooth = c.rule.activation == Activation::none || inputs.d_y[i] == 0;
        z[i] = smooth ? 1 : (z[i] > 0) + (z[i] >= ceiling);
      }
      return z;
    };
    const auto difference = [&](std::vector<float>& x, float widest_step = curved_step) {
      return [&, widest_step](std::size_t index) -> std::optional<double> {
        for (const float step : {widest_step, widest_step / 4}) {
          const float before = x[index];
          x[index] = before + step;
          const std::vector<double> above = sides();
          x[index] = before - step;
          const bool crosses_kink = above != sides();
          x[index] = before;
          if (!crosses_kink) return central_difference(x, step, loss)(index);
        }
        return std::nullopt;
      };
    };
    check_gradient("d_x", gradients.at("d_x").values, difference(inputs.x), curved_tolerance);
    if (c.rule.normalize)
      check_gradient("d_gamma", gradients.at("d_gamma").values, difference(inputs.gamma), curved_tolerance);
    if (c.bias) check_gradient("d_beta", gradients.at("d_beta").values, difference(inputs.beta), curved_tolerance);
    if (c.input_bias)
      check_gradient("d_input_bias", gradients.at("d_input_bias").values, difference(inputs.input_bias),
                     curved_tolerance);
    if (c.shortcut) {
      check_gradient("d_shortcut", gradients.at("d_shortcut").values, difference(inputs.shortcut), curved_tolerance);
    }
    if (c.rule.activation == Activation::pact) {
      check_gradient("d_clip", gradients.at("d_clip").values, difference(inputs.clip, clip_step), curved_tolerance);
    }
  }
}

TEST_CASE("concatenation gradients are those of central differences") {
  const auto oracle = make_reference_backend();
  for (const cases::ConcatCase& c : cases::concat_cases()) {
    const ConcatGeometry geometry = c.geometry(DType::f32);
    if (geometry.rows * geometry.channels > 2000) continue;
    INFO(c.name);
    ConcatInputs inputs = make_inputs(c);
    std::vector<double> gradient =
        run_concat_backward(*oracle, geometry, inputs, GradMode::overwrite).at("d_input").values;
    for (std::size_t i = 0; i < gradient.size(); ++i)  // between rows nothing is read, and nothing written
      if (static_cast<std::int64_t>(i) % geometry.input_pitch >= geometry.channels) gradient[i] = 0;
    const auto loss = [&] {
      return dot(run_concat_forward(*oracle, geometry, inputs).at("output").values, inputs.d_output);
    };
    check_gradient("d_input", gradient, central_difference(inputs.input, linear_step, loss), linear_tolerance);
  }
}

TEST_CASE("dropout gradients are those of central differences") {
  const auto oracle = make_reference_backend();
  for (const cases::DropoutCase& c : cases::dropout_cases()) {
    if (c.batch * c.sample_size > 2500) continue;
    INFO(c.name);
    DropoutInputs inputs = make_inputs(c);
    const Outputs gradients = run_dropout_backward(*oracle, c, DType::f32, inputs, GradMode::overwrite);
    const auto loss = [&] {
      return dot(run_dropout_forward(*oracle, c, DType::f32, inputs).at("output").values, inputs.d_output);
    };
    check_gradient("d_input", gradients.at("d_input").values, central_difference(inputs.input, linear_step, loss),
                   linear_tolerance);
  }
}

TEST_CASE("average pooling gradients are those of central differences") {
  const auto oracle = make_reference_backend();
  for (const cases::PoolCase& c : cases::pool_cases()) {
    INFO(c.name);
    PoolInputs inputs = make_inputs(c);
    const Outputs gradients = run_pool_backward(*oracle, c.geometry(DType::f32), inputs);
    const auto loss = [&] {
      return dot(run_pool_forward(*oracle, c.geometry(DType::f32), inputs).at("output").values, inputs.d_output);
    };
    check_gradient("d_input", gradients.at("d_input").values, central_difference(inputs.input, linear_step, loss),
                   linear_tolerance);
  }
}

TEST_CASE("linear gradients are those of central differences") {
  const auto oracle = make_reference_backend();
  for (const cases::LinearCase& c : cases::linear_cases()) {
    INFO(c.name);
    LinearInputs inputs = make_inputs(c);
    const Outputs gradients = run_linear_backward(*oracle, c.geometry(), inputs);
    const auto loss = [&] {
      return dot(run_linear_forward(*oracle, c.geometry(), inputs).at("output").values, inputs.d_output);
    };
    check_gradient("d_input", gradients.at("d_input").values, central_difference(inputs.input, linear_step, loss),
                   linear_tolerance);
    check_gradient("d_weight", gradients.at("d_weight").values, central_difference(inputs.weight, linear_step, loss),
                   linear_tolerance);
    check_gradient("d_bias", gradients.at("d_bias").values, central_difference(inputs.bias, linear_step, loss),
                   linear_tolerance);
  }
}

TEST_CASE("the loss gradient is that of central differences of the mean cross entropy") {
  const auto oracle = make_reference_backend();
  for (const cases::LossCase& c : cases::loss_cases()) {
    if (c.evaluation) continue;
    INFO(c.name);
    LossInputs inputs = make_inputs(c);
    const Outputs gradients = run_loss(*oracle, c.batch, c.classes, false, inputs);
    const auto loss = [&] {
      return run_loss(*oracle, c.batch, c.classes, true, inputs).at("loss_sum").values[1] / c.batch;
    };
    check_gradient("d_logits", gradients.at("d_logits").values, central_difference(inputs.logits, curved_step, loss),
                   curved_tolerance);
  }
}

TEST_CASE("an accumulated gradient is what was there plus the overwriting one") {
  for_each_backend([](Backend& backend) {
    const auto check_sum = [](const Outputs& accumulated, const Outputs& overwritten, const std::string& name,
                              const std::vector<float>& before) {
      std::vector<double> expected = overwritten.at(name).values;
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += before[i];
      const Comparison comparison =
          compare_scaled(accumulated.at(name).values, expected, relative_tolerance(DType::f32));
      INFO(name << ": " << comparison.report());
      CHECK(comparison.ok());
    };
    for (const cases::ConvCase& c : cases::conv_cases()) {
      const ConvGeometry geometry = c.geometry(DType::f32);
      if (!small(geometry)) continue;
      INFO(c.name);
      const ConvInputs inputs = make_inputs(c);
      check_sum(run_conv_backward(backend, geometry, inputs, GradMode::accumulate),
                run_conv_backward(backend, geometry, inputs, GradMode::overwrite), "d_input", inputs.d_input_before);
    }
    for (const cases::NormActCase& c : cases::norm_act_cases()) {
      const NormActGeometry geometry = c.geometry(DType::f32);
      if (!c.rule.batch_statistics || geometry.rows > 100) continue;
      INFO(c.name);
      const NormActInputs inputs = make_inputs(c, DType::f32);
      const Outputs overwritten = run_norm_act_backward(backend, geometry, c.rule, inputs, kOverwriteBoth);
      for (const NormActModes& modes : {NormActModes{.x = GradMode::accumulate}, kAccumulateBoth}) {
        const Outputs accumulated = run_norm_act_backward(backend, geometry, c.rule, inputs, modes);
        check_sum(accumulated, overwritten, "d_x", inputs.d_x_before);
        if (c.shortcut && modes.shortcut == GradMode::accumulate)
          check_sum(accumulated, overwritten, "d_shortcut", inputs.d_shortcut_before);
      }
      if (!c.shortcut || c.x_pitch != 0) continue;
      const std::vector<double>& d_shortcut = overwritten.at("d_shortcut").values;
      const NormActModes shared{.x = GradMode::overwrite, .shortcut = GradMode::accumulate};
      check_sum(run_norm_act_backward(backend, geometry, c.rule, inputs, shared, Place::d_x_and_shortcut), overwritten,
                "d_x", {d_shortcut.begin(), d_shortcut.end()});
    }
  });
}

}  // namespace bsq::test
