// Convolutions: see parity.h.
#include "tests/kernels/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

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

}  // namespace
}  // namespace bsq::test
