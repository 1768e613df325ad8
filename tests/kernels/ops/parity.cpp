#include "tests/kernels/ops/parity.h"

#include "kernels/reference/reference_backend.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <bit>

namespace bsq::test {

void for_each_compared_backend(const std::function<void(Backend&, Backend&)>& check) {
  const auto backends = compared_backends();
  const auto oracle = make_reference_backend();
  for (const auto& backend : backends) {
    INFO("backend " << backend->name());
    check(*backend, *oracle);
  }
}

void check_outputs(const Outputs& actual, const Outputs& expected, const std::map<std::string, double>& scales,
                   const std::map<std::string, double>& tolerances) {
  REQUIRE(actual.size() == expected.size());
  for (const auto& [name, output] : expected) {
    const double scale = scales.contains(name) ? scales.at(name) : 0;
    const double tolerance = tolerances.contains(name) ? tolerances.at(name) : relative_tolerance(output.dtype);
    const Comparison comparison = compare_scaled(actual.at(name).values, output.values, tolerance, scale);
    INFO(name << ": " << comparison.report());
    CHECK(comparison.ok());
  }
}

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

std::vector<double> levels_before_rounding(Backend& oracle, const cases::NormActCase& c, DType dtype,
                                           const NormActInputs& inputs, double act_scale) {
  NormActInputs seen = inputs;
  seen.x = rounded_to(dtype, inputs.x);
  seen.shortcut = rounded_to(dtype, inputs.shortcut);
  NormActRule unquantized = c.rule;
  unquantized.act_bits = 0;
  std::vector<double> levels = run_norm_act_forward(oracle, c.geometry(DType::f32), unquantized, seen).at("y").values;
  const double most = (1 << c.rule.act_bits) - 1;
  for (double& level : levels) level = std::clamp(level * most / act_scale, -most, most);
  return levels;
}

double size_of_d_x_terms(Backend& oracle, const cases::NormActCase& c, DType dtype, const NormActInputs& inputs) {
  if (!c.rule.normalize) return 0;  // d_x has one term
  std::vector<double> factor = run_norm_act_forward(oracle, c.geometry(dtype), c.rule, inputs).at("inv_std").values;
  for (std::size_t channel = 0; channel < factor.size(); ++channel)
    factor[channel] *= static_cast<double>(inputs.gamma[channel]);
  return root_mean_square(factor) * root_mean_square({inputs.d_y.begin(), inputs.d_y.end()});
}

std::vector<cases::PlaneCase> compared_plane_cases() {
  std::vector<cases::PlaneCase> compared = cases::plane_cases();
#if defined(__SANITIZE_THREAD__)  // one of mixed bits has all widths, and the tails have all storages
  std::erase_if(compared, [](const cases::PlaneCase& c) { return c.name.starts_with("ResNet-20, 8 bits"); });
  REQUIRE(compared.size() >= 7);
#endif
  return compared;
}

std::vector<cases::NormActCase> compared_norm_act_cases() {
  std::vector<cases::NormActCase> compared = cases::norm_act_cases();
#if defined(__SANITIZE_THREAD__)  // those of ResNet-20 with a shortcut do all that those without one do
  std::erase_if(compared, [](const cases::NormActCase& c) { return c.layers > 0 && !c.shortcut; });
  REQUIRE(compared.size() >= 90);
#endif
  return compared;
}

Outputs run_twice(const std::function<Outputs()>& run) {
#if defined(__SANITIZE_THREAD__)  // looks for races, and takes a hundred times as long
  return run();
#endif
  Outputs first = run();
  for (const auto& [name, output] : run()) {
    INFO(name << " of a second run");
    const std::vector<double>& values = first.at(name).values;
    CHECK(std::equal(values.begin(), values.end(), output.values.begin(), output.values.end(), [](double a, double b) {
      return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
    }));
  }
  return first;
}

}  // namespace bsq::test
