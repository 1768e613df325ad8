// Weights whose step is trained: see parity.h. Quotients are those of float32 everywhere, so that levels are equal.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

TEST_CASE("weights_from_lsq finds the levels of the reference") {
  check_cases(cases::lsq_cases(), run_weights_from_lsq);
}

TEST_CASE("lsq_step agrees with the reference") {
  check_cases(cases::lsq_cases(), run_lsq_step);
}

}  // namespace
}  // namespace bsq::test
