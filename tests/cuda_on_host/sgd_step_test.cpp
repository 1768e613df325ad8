// kernels/cuda/sgd_step.cu against the reference.
#include "kernels/reference.h"
#include "tests/cuda_on_host/kernel_backend.h"
#include "tests/kernels/op_runs.h"
#include "tests/support/catch.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

namespace bsq::test {
namespace {

TEST_CASE("the kernel sgd_step agrees with the reference") {
  const auto kernels = make_kernel_backend();
  const auto oracle = make_reference_backend();
  for (const cases::SgdCase& c : cases::sgd_cases()) {
    INFO("case " << c.name);
    const SgdInputs inputs = make_inputs(c);
    const Outputs actual = run_sgd_step(*kernels, c.rule, inputs);
    for (const auto& [name, expected] : run_sgd_step(*oracle, c.rule, inputs)) {
      const Comparison comparison =
          compare_scaled(actual.at(name).values, expected.values, relative_tolerance(expected.dtype));
      INFO(name << ": " << comparison.report());
      CHECK(comparison.ok());
    }
  }
}

}  // namespace
}  // namespace bsq::test
