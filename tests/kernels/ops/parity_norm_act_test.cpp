// Batch norm, shortcut, activation and quantizer: see parity.h.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

TEST_CASE("norm_act forward agrees with the reference, to a level where it quantizes") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const cases::NormActCase& c : compared_norm_act_cases()) {
        INFO("case " << c.name << ", " << name_of(dtype));
        const NormActInputs inputs = make_inputs(c, dtype);
        const Outputs actual =
            run_twice([&] { return run_norm_act_forward(backend, c.geometry(dtype), c.rule, inputs); });
        const Outputs expected = run_norm_act_forward(oracle, c.geometry(dtype), c.rule, inputs);
        if (c.rule.act_bits == 0) {
          check_outputs(actual, expected);
          continue;
        }
        const double act_scale = expected.at("act_scale").values[0];
        const std::vector<double> levels = levels_before_rounding(oracle, c, dtype, inputs, act_scale);
        const double stored_step = c.units ? 1 : act_scale / ((1 << c.rule.act_bits) - 1);
        check_outputs_on_grid(actual, expected, "y", levels, std::vector<double>(levels.size(), stored_step));
      }
    }
  });
}

TEST_CASE("norm_act forward with a given activation scale agrees with the reference") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const cases::NormActCase& c : compared_norm_act_cases()) {
        if (c.rule.act_bits == 0 || c.batch * c.pixels > 300) continue;
        INFO("case " << c.name << ", " << name_of(dtype));
        NormActInputs inputs = make_inputs(c, dtype);
        inputs.act_scale = inputs.clip = {1.75F};  // some activations are larger
        const Outputs expected = run_norm_act_forward(oracle, c.geometry(dtype), c.rule, inputs);
        CHECK(expected.at("act_scale").values[0] == 1.75);
        const std::vector<double> levels = levels_before_rounding(oracle, c, dtype, inputs, 1.75);
        const double stored_step = c.units ? 1 : 1.75 / ((1 << c.rule.act_bits) - 1);
        check_outputs_on_grid(
            run_twice([&] { return run_norm_act_forward(backend, c.geometry(dtype), c.rule, inputs); }), expected, "y",
            levels, std::vector<double>(levels.size(), stored_step));
      }
    }
  });
}

TEST_CASE("norm_act backward agrees with the reference, in place or not, overwriting and accumulating") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const cases::NormActCase& c : compared_norm_act_cases()) {
        if (!c.rule.batch_statistics && c.rule.normalize) continue;
        INFO("case " << c.name << ", " << name_of(dtype));
        const NormActInputs inputs = make_inputs(c, dtype);
        const std::map<std::string, double> scales = {{"d_x", size_of_d_x_terms(oracle, c, dtype, inputs)}};
        const auto check = [&](const NormActModes& modes, Place place) {
          const auto run = [&](Backend& on) {
            return run_norm_act_backward(on, c.geometry(dtype), c.rule, inputs, modes, place);
          };
          check_outputs(run_twice([&] { return run(backend); }), run(oracle), scales);
        };
        check(kOverwriteBoth, Place::separate);
        check({.shortcut = GradMode::accumulate}, c.x_pitch == 0 ? Place::in_place : Place::separate);
        if (c.layers == 0) check(kAccumulateBoth, Place::separate);  // the small ones
      }
    }
  });
}

}  // namespace
}  // namespace bsq::test
