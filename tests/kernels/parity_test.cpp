// Every other backend against the oracle, over the whole list of cases, in every dtype the backend has, between guards.
#include "tests/kernels/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

#include <functional>

namespace bsq::test {
namespace {

/// `scales`: how large the terms are whose sum an output is, where they cancel.
void check_outputs(const Outputs& actual, const Outputs& expected, const std::map<std::string, double>& scales = {}) {
  REQUIRE(actual.size() == expected.size());
  for (const auto& [name, output] : expected) {
    const double scale = scales.contains(name) ? scales.at(name) : 0;
    const Comparison comparison =
        compare_scaled(actual.at(name).values, output.values, relative_tolerance(output.dtype), scale);
    INFO(name << ": " << comparison.report());
    CHECK(comparison.ok());
  }
}

/// As check_outputs, but `name` holds values on a grid, where one at a rounding boundary may take the other level.
void check_outputs_on_grid(Outputs actual, Outputs expected, const std::string& name, const std::vector<double>& levels,
                           const std::vector<double>& steps) {
  const Output on_grid = expected.at(name);
  const GridComparison comparison = compare_on_grid(actual.at(name).values, on_grid.values, levels, steps,
                                                    boundary_margin_levels, relative_tolerance(on_grid.dtype));
  INFO(name << ": " << comparison.rest.report() << "; " << comparison.at_boundary << " took another level");
  CHECK(comparison.rest.ok());
  CHECK(static_cast<double>(comparison.at_boundary) <=
        1 + boundary_fraction_limit * static_cast<double>(on_grid.values.size()));
  actual.erase(name);
  expected.erase(name);
  check_outputs(actual, expected);
}

/// Calls `check(backend, oracle)` for every backend that is not the oracle.
void for_each_other_backend(const std::function<void(Backend&, Backend&)>& check) {
  const auto backends = other_backends();
  if (backends.empty()) WARN("SKIPPED: this build has no backend but the reference");
  const auto oracle = make_reference_backend();
  for (const auto& backend : backends) {
    INFO("backend " << backend->name());
    check(*backend, *oracle);
  }
}

/// For operators whose cases do not depend on a dtype.
template <typename Case, typename Run>
void check_cases(const std::vector<Case>& cases, Run&& run) {
  for_each_other_backend([&](Backend& backend, Backend& oracle) {
    for (const Case& c : cases) {
      INFO("case " << c.name);
      const auto inputs = make_inputs(c);
      check_outputs(run(backend, c, inputs), run(oracle, c, inputs));
    }
  });
}

/// For those that take activations.
template <typename Case, typename Run>
void check_cases_by_dtype(const std::vector<Case>& cases, Run&& run) {
  for_each_other_backend([&](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const Case& c : cases) {
        INFO("case " << c.name << ", " << name_of(dtype));
        const auto inputs = make_inputs(c);
        check_outputs(run(backend, c, dtype, inputs), run(oracle, c, dtype, inputs));
      }
    }
  });
}

constexpr GradMode grad_modes[] = {GradMode::overwrite, GradMode::accumulate};

}  // namespace

TEST_CASE("conv2d forward agrees with the reference") {
  check_cases_by_dtype(cases::conv_cases(),
                       [](Backend& backend, const cases::ConvCase& c, DType dtype, const ConvInputs& inputs) {
                         return run_conv_forward(backend, c.geometry(dtype), inputs);
                       });
}

TEST_CASE("conv2d backward agrees with the reference, overwriting and accumulating") {
  for (const GradMode mode : grad_modes) {
    check_cases_by_dtype(cases::conv_cases(),
                         [mode](Backend& backend, const cases::ConvCase& c, DType dtype, const ConvInputs& inputs) {
                           return run_conv_backward(backend, c.geometry(dtype), inputs, mode);
                         });
  }
}

TEST_CASE("norm_act forward agrees with the reference, to a level where it quantizes") {
  for_each_other_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const cases::NormActCase& c : cases::norm_act_cases()) {
        INFO("case " << c.name << ", " << name_of(dtype));
        const NormActInputs inputs = make_inputs(c, dtype);
        const Outputs actual = run_norm_act_forward(backend, c.geometry(dtype), c.rule, inputs);
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
        check_outputs_on_grid(actual, expected, "y", levels, std::vector<double>(levels.size(), step));
      }
    }
  });
}

TEST_CASE("norm_act backward agrees with the reference, in place or not, overwriting and accumulating") {
  for_each_other_backend([](Backend& backend, Backend& oracle) {
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
          check_outputs(run_norm_act_backward(backend, c.geometry(dtype), c.rule, inputs, mode, place),
                        run_norm_act_backward(oracle, c.geometry(dtype), c.rule, inputs, mode, place), scales);
        }
      }
    }
  });
}

TEST_CASE("average pooling agrees with the reference") {
  check_cases_by_dtype(cases::pool_cases(),
                       [](Backend& backend, const cases::PoolCase& c, DType dtype, const PoolInputs& inputs) {
                         Outputs outputs = run_pool_forward(backend, c.geometry(dtype), inputs);
                         outputs.merge(run_pool_backward(backend, c.geometry(dtype), inputs));
                         return outputs;
                       });
}

TEST_CASE("linear agrees with the reference") {
  check_cases(cases::linear_cases(), [](Backend& backend, const cases::LinearCase& c, const LinearInputs& inputs) {
    Outputs outputs = run_linear_forward(backend, c.geometry(), inputs);
    outputs.merge(run_linear_backward(backend, c.geometry(), inputs));
    return outputs;
  });
}

TEST_CASE("the loss agrees with the reference") {
  check_cases(cases::loss_cases(), [](Backend& backend, const cases::LossCase& c, const LossInputs& inputs) {
    return run_loss(backend, c.batch, c.classes, c.evaluation, inputs);
  });
}

TEST_CASE("augment agrees with the reference") {
  check_cases_by_dtype(cases::augment_cases(),
                       [](Backend& backend, const cases::AugmentCase& c, DType dtype, const AugmentInputs& inputs) {
                         StepInputs step;
                         step.epoch = c.epoch;
                         step.first_sample = c.first_sample;
                         return run_augment(backend, c.rule(), c.batch, step, dtype, inputs);
                       });
}

TEST_CASE("weights_from_planes agrees with the reference, to a level at a rounding boundary") {
  for_each_other_backend([](Backend& backend, Backend& oracle) {
    for (const cases::PlaneCase& c : cases::plane_cases()) {
      INFO("case " << c.name);
      const PlaneInputs inputs = make_inputs(c);
      const Outputs expected = run_weights_from_planes(oracle, c, inputs);
      std::vector<double> levels(expected.at("weights").values.size(), 0.0);
      std::vector<double> steps(levels.size(), 0.0);
      const std::vector<PlaneTensor> tensors = c.tensors();
      for (std::size_t t = 0; t < tensors.size(); ++t) {
        const PlaneTensor& tensor = tensors[t];
        for (std::int64_t i = 0; i < tensor.numel; ++i) {
          const auto at = static_cast<std::size_t>(tensor.weight_offset + i);
          for (int b = 0; b < tensor.bits; ++b) {
            const auto p = static_cast<std::size_t>(tensor.plane_offset + b * tensor.numel + i);
            const auto n = p + static_cast<std::size_t>(tensor.bits * tensor.numel);
            levels[at] += (1 << (tensor.bits - 1 - b)) * (double{inputs.planes[p]} - inputs.planes[n]);
          }
          steps[at] = double{inputs.scales[t]} / ((1 << tensor.bits) - 1);
        }
      }
      check_outputs_on_grid(run_weights_from_planes(backend, c, inputs), expected, "weights", levels, steps);
    }
  });
}

TEST_CASE("planes_step agrees with the reference") {
  check_cases(cases::plane_cases(), run_planes_step);
}

TEST_CASE("weights_from_fixed agrees with the reference, to a level at a rounding boundary") {
  for_each_other_backend([](Backend& backend, Backend& oracle) {
    for (const cases::FixedCase& c : cases::fixed_cases()) {
      INFO("case " << c.name);
      const FixedInputs inputs = make_inputs(c);
      const Outputs expected = run_weights_from_fixed(oracle, c, inputs);
      std::vector<double> levels(inputs.u.size(), 0.0);
      std::vector<double> steps(levels.size(), 0.0);
      const std::vector<FixedTensor> tensors = c.tensors();
      for (std::size_t t = 0; t < tensors.size(); ++t) {
        if (tensors[t].bits == 0) continue;
        const double top_level = (1 << tensors[t].bits) - 1;
        for (std::int64_t i = 0; i < tensors[t].numel; ++i) {
          const auto at = static_cast<std::size_t>(tensors[t].weight_offset + i);
          levels[at] = inputs.u[at] * top_level;
          steps[at] = inputs.scales[t] / top_level;
        }
      }
      check_outputs_on_grid(run_weights_from_fixed(backend, c, inputs), expected, "weights", levels, steps);
    }
  });
}

TEST_CASE("fixed_step agrees with the reference") {
  check_cases(cases::fixed_cases(), run_fixed_step);
}

TEST_CASE("sgd_step agrees with the reference") {
  check_cases(cases::sgd_cases(), [](Backend& backend, const cases::SgdCase& c, const SgdInputs& inputs) {
    return run_sgd_step(backend, c.rule, inputs);
  });
}

}  // namespace bsq::test
