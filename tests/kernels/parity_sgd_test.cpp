// Plain parameters: see parity.h.
#include "tests/kernels/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

TEST_CASE("sgd_step agrees with the reference") {
  check_cases(cases::sgd_cases(), [](Backend& backend, const cases::SgdCase& c, const SgdInputs& inputs) {
    return run_sgd_step(backend, c.rule, inputs);
  });
}

}  // namespace
}  // namespace bsq::test
