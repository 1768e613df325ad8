// Pooling, the linear layer and the loss: see parity.h.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

TEST_CASE("average pooling agrees with the reference") {
  for (const GradMode mode : grad_modes)
    check_cases_by_dtype(cases::pool_cases(),
                         [&](Backend& backend, const cases::PoolCase& c, DType dtype, const PoolInputs& inputs) {
                           Outputs outputs = run_pool_forward(backend, c.geometry(dtype), inputs);
                           outputs.merge(run_pool_backward(backend, c.geometry(dtype), inputs, mode));
                           return outputs;
                         });
}

TEST_CASE("linear agrees with the reference") {
  for (const GradMode mode : grad_modes)
    check_cases(cases::linear_cases(), [&](Backend& backend, const cases::LinearCase& c, const LinearInputs& inputs) {
      Outputs outputs = run_linear_forward(backend, c.geometry(), inputs);
      outputs.merge(run_linear_backward(backend, c.geometry(), inputs, mode));
      return outputs;
    });
}

TEST_CASE("the loss agrees with the reference") {
  check_cases(cases::loss_cases(), [](Backend& backend, const cases::LossCase& c, const LossInputs& inputs) {
    return run_loss(backend, c.batch, c.classes, c.evaluation, inputs);
  });
}

}  // namespace
}  // namespace bsq::test
