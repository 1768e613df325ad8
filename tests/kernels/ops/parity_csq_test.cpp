// Weights whose planes and masks are gates: see parity.h.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

TEST_CASE("weights_from_csq agrees with the reference") {
  check_cases(cases::csq_cases(), run_weights_from_csq);
}

TEST_CASE("weights_from_csq agrees with the reference where all gates are hard") {
  std::vector<cases::CsqCase> cases = cases::csq_cases();
  for (cases::CsqCase& c : cases) c.numbers.hardness = CsqHardness::all;
  check_cases(cases, run_weights_from_csq);
}

TEST_CASE("csq_step agrees with the reference") {
  check_cases(cases::csq_cases(), run_csq_step);
}

}  // namespace
}  // namespace bsq::test
