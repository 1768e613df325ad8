// What tests/kernels compares with the oracle: every backend a user can have.
#include "tests/kernels/ops/parity.h"

namespace bsq::test {

std::vector<std::unique_ptr<Backend>> compared_backends() {
  return other_backends();
}

}  // namespace bsq::test
