// Batch norm, shortcut, activation and quantizer: see parity.h.
#include "tests/kernels/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

TEST_CASE("norm_act forward agrees with the reference, to a level where it quantizes") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const cases::NormActCase& c : cases::norm_act_cases()) {
        INFO("case " << c.name << ", " << name_of(dtype));
        const NormActInputs inputs = make_inputs(c, dtype);
        const Outputs actual =
            run_twice([&] { return run_norm_act_forward(backend, c.geometry(dtype), c.rule, inputs); });
        const Outputs expected = run_norm_act_forward(oracle, c.geometry(dtype), c.rule, inputs);
        if (c.rule.act_bits == 0) {
          check_outputs(actual, expected);
          continue;
        }
        // What y was before it was quantized: the same contents, unquantized, stored in float32.
        NormActInputs seen = inputs;
        seen.x = rounded_to(dtype, inputs.x);
        seen.shortcut = rounded_to(dtype, inputs.shortcut);
        NormActRule unquantized = c.rule;
        unquantized.act_bits = 0;
        std::vector<double> levels =
            run_norm_act_forward(oracle, c.geometry(DType::f32), unquantized, seen).at("y").values;
        const double step = expected.at("act_scale").values[0] / ((1 << c.rule.act_bits) - 1);
        for (double& level : levels) level /= step;
        const double stored_step = c.units ? 1 : step;
        check_outputs_on_grid(actual, expected, "y", levels, std::vector<double>(levels.size(), stored_step));
      }
    }
  });
}

TEST_CASE("norm_act backward agrees with the reference, in place or not, overwriting and accumulating") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const cases::NormActCase& c : cases::norm_act_cases()) {
        if (!c.rule.batch_statistics) continue;
        INFO("case " << c.name << ", " << name_of(dtype));
        const NormActInputs inputs = make_inputs(c, dtype);
        // With a row or two, d_x is next to nothing: the three terms of gamma inv_std dz cancel.
        std::vector<double> factor =
            run_norm_act_forward(oracle, c.geometry(dtype), c.rule, inputs).at("inv_std").values;
        for (std::size_t channel = 0; channel < factor.size(); ++channel) factor[channel] *= inputs.gamma[channel];
        const std::vector<double> d_y(inputs.d_y.begin(), inputs.d_y.end());
        const std::map<std::string, double> scales = {{"d_x", root_mean_square(factor) * root_mean_square(d_y)}};
        for (const GradMode mode : grad_modes) {
          const Place place = mode == GradMode::overwrite ? Place::separate : Place::in_place;
          check_outputs(
              run_twice([&] { return run_norm_act_backward(backend, c.geometry(dtype), c.rule, inputs, mode, place); }),
              run_norm_act_backward(oracle, c.geometry(dtype), c.rule, inputs, mode, place), scales);
        }
      }
    }
  });
}

}  // namespace
}  // namespace bsq::test
