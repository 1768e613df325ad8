// Pooling over windows, and flattening: see parity.h.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

/// Both passes of each case, the gradient overwritten and added to.
template <typename Case, typename Forward, typename Backward>
void check_both_passes(const std::vector<Case>& cases, Forward forward, Backward backward) {
  for (const GradMode mode : grad_modes)
    check_cases_by_dtype(cases, [&](Backend& backend, const Case& c, DType dtype, const PoolInputs& inputs) {
      Outputs outputs = forward(backend, c.geometry(dtype), inputs);
      outputs.merge(backward(backend, c.geometry(dtype), inputs, mode));
      return outputs;
    });
}

}  // namespace

TEST_CASE("max pooling agrees with the reference, its winners among equal numbers included") {
  check_both_passes(cases::max_pool_cases(), run_max_pool_forward, run_max_pool_backward);
}

TEST_CASE("averages of windows agree with the reference") {
  check_both_passes(cases::window_average_cases(), run_window_average_forward, run_window_average_backward);
}

TEST_CASE("flattening agrees with the reference") {
  check_both_passes(cases::flatten_cases(), run_flatten_forward, run_flatten_backward);
}

}  // namespace bsq::test
