// Weights of DoReFa: see parity.h. tanh is the same number everywhere, so that levels are equal.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

TEST_CASE("weights_from_dorefa finds the levels of the reference") {
  check_cases(cases::dorefa_cases(), run_weights_from_dorefa);
}

TEST_CASE("dorefa_step agrees with the reference") {
  check_cases(cases::dorefa_cases(), run_dorefa_step);
}

}  // namespace
}  // namespace bsq::test
