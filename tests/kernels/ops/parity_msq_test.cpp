// Weights of MSQ: see parity.h. 2^n u is exact, so that levels are equal.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

TEST_CASE("weights_from_msq finds the levels of the reference") {
  check_cases(cases::msq_cases(), run_weights_from_msq);
}

TEST_CASE("msq_step agrees with the reference") {
  check_cases(cases::msq_cases(), run_msq_step);
}

}  // namespace
}  // namespace bsq::test
