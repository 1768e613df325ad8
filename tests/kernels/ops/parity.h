// Every other backend against the oracle, over the whole list of cases, in every dtype the backend has, between guards;
// and twice, for the same bits. The tests are one file a group of operators, so that a program can have those it can
// run.
#pragma once

#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/catch.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bsq::test {

/// The backends that this test program compares with the oracle. Each program says it in a file of its own.
std::vector<std::unique_ptr<Backend>> compared_backends();

/// Calls `check(backend, oracle)` for every one of them.
void for_each_compared_backend(const std::function<void(Backend&, Backend&)>& check);

/// `scales`: how large the terms are whose sum an output is, where they cancel. `tolerances`: where another one holds
/// than relative_tolerance().
void check_outputs(const Outputs& actual, const Outputs& expected, const std::map<std::string, double>& scales = {},
                   const std::map<std::string, double>& tolerances = {});

/// As check_outputs, but `name` holds values on a grid, where one at a rounding boundary may take the other level.
void check_outputs_on_grid(Outputs actual, Outputs expected, const std::string& name, const std::vector<double>& levels,
                           const std::vector<double>& steps);

/// y (2^k - 1) / S of norm_act before it is rounded, from the same contents in float32.
std::vector<double> levels_before_rounding(Backend& oracle, const cases::NormActCase& c, DType dtype,
                                           const NormActInputs& inputs, double act_scale);
/// How large the terms of d_x are: with a row or two it is next to nothing, since the three of them cancel.
double size_of_d_x_terms(Backend& oracle, const cases::NormActCase& c, DType dtype, const NormActInputs& inputs);

/// Their cases. ThreadSanitizer looks for races, and takes a hundred times as long: there without large ones, if
/// another case has their accesses.
std::vector<cases::PlaneCase> compared_plane_cases();
std::vector<cases::NormActCase> compared_norm_act_cases();

/// What `run` returns; it is run once more and has to return the same bits.
Outputs run_twice(const std::function<Outputs()>& run);

/// For operators whose cases do not depend on a dtype.
template <typename Case, typename Run>
void check_cases(const std::vector<Case>& cases, Run&& run) {
  for_each_compared_backend([&](Backend& backend, Backend& oracle) {
    for (const Case& c : cases) {
      INFO("case " << c.name);
      const auto inputs = make_inputs(c);
      check_outputs(run_twice([&] { return run(backend, c, inputs); }), run(oracle, c, inputs));
    }
  });
}

/// For those that take activations.
template <typename Case, typename Run>
void check_cases_by_dtype(const std::vector<Case>& cases, Run&& run) {
  for_each_compared_backend([&](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const Case& c : cases) {
        INFO("case " << c.name << ", " << name_of(dtype));
        const auto inputs = make_inputs(c);
        check_outputs(run_twice([&] { return run(backend, c, dtype, inputs); }), run(oracle, c, dtype, inputs));
      }
    }
  });
}

constexpr GradMode grad_modes[] = {GradMode::overwrite, GradMode::accumulate};

}  // namespace bsq::test
