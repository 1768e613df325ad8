// Moving averages: PyTorch's numbers, and the ends of the scale.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

namespace bsq::test {

TEST_CASE("update_average gives the numbers of PyTorch's AveragedModel") {
  // AveragedModel(m, multi_avg_fn=get_ema_multi_avg_fn(0.9)), which begins with the weights [1, -2, 0.5, 0], after each
  // update_parameters(m) with the weights of a row.
  struct Update {
    std::vector<float> weights;
    std::vector<double> average;
  };
  const std::vector<Update> updates = {{{0.75F, -1.5F, 0.25F, 4}, {0.975000024, -1.95000005, 0.474999994, 0.400000006}},
                                       {{0.5F, 3, 0.125F, -4}, {0.92750001, -1.45500004, 0.439999998, -0.0400000103}},
                                       {{-1, 2.5F, 1, 1e-3F}, {0.734750032, -1.0595001, 0.495999992, -0.0359000079}}};
  const cases::AverageCase c{"four", 0, {4}, 1, static_cast<float>(1 - 0.9)};
  for_each_backend([&](Backend& backend) {
    std::vector<float> average = {1, -2, 0.5F, 0};
    for (const auto& [weights, expected] : updates) {
      const std::vector<double> found = run_update_average(backend, c, {weights, average}).at("averages").values;
      CHECK(compare_scaled(found, expected, relative_tolerance(DType::f32)).ok());
      average.assign(found.begin(), found.end());
    }
  });
}

TEST_CASE("an average of weight 0 stays, one of weight 1 is the numbers") {
  for_each_backend([](Backend& backend) {
    const std::vector<float> values = {1, 2, 3}, averages = {4, 8, 16};
    cases::AverageCase c{"three", 0, {3}, 1, 0};
    CHECK(run_update_average(backend, c, {values, averages}).at("averages").values == std::vector<double>{4, 8, 16});
    c.weight = 1;
    CHECK(run_update_average(backend, c, {values, averages}).at("averages").values == std::vector<double>{1, 2, 3});
  });
}

}  // namespace bsq::test
