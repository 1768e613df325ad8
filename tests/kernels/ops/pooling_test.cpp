// Pooling: whose number a window takes, by hand; and gradients of the oracle against central differences.
#include "kernels/reference/reference_backend.h"
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/gradients.h"
#include "tests/support/tolerances.h"

#include <cmath>
#include <limits>

namespace bsq::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kLinearTolerance = 1e-5;

struct Expected {
  std::vector<float> row;       // one image of one row
  int kernel, stride, padding;  // of the row; windows are as high, and reach beyond it
  std::vector<double> output, winners;
};

/// A NaN equals a NaN here, and -0 does not equal 0.
bool same(const std::vector<double>& a, const std::vector<double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](double x, double y) {
    return std::isnan(x) ? std::isnan(y) : x == y && std::signbit(x) == std::signbit(y);
  });
}

template <typename Case, typename Forward, typename Backward>
void check_differences(const std::vector<Case>& cases, float step, Forward forward, Backward backward) {
  const auto oracle = make_reference_backend();
  for (const Case& c : cases) {
    INFO(c.name);
    const auto geometry = c.geometry(DType::f32);
    PoolInputs inputs = make_inputs(c);
    const Outputs gradients = backward(*oracle, geometry, inputs, GradMode::overwrite);
    const auto loss = [&] { return dot(forward(*oracle, geometry, inputs).at("output").values, inputs.d_output); };
    check_gradient("d_input", gradients.at("d_input").values, central_difference(inputs.input, step, loss),
                   kLinearTolerance);
  }
}

}  // namespace

TEST_CASE("of equal numbers the first wins, a NaN over every number, and zeros keep their sign") {
  const std::vector<Expected> all = {
      {{1, 3, 3, 2}, 2, 2, 0, {3, 3}, {1, 0}},
      {{2, 2, 2}, 3, 2, 1, {2, 2}, {4, 3}},  // the row is the middle one of the window
      {{0.0F, -0.0F, -0.0F, 0.0F}, 2, 2, 0, {0.0, -0.0}, {0, 0}},
      {{1, kNan, 5, kNan}, 4, 4, 0, {kNan}, {3}},
      {{kNan, 7, -kInfinity, -kInfinity}, 2, 2, 0, {kNan, -kInfinity}, {0, 0}},
      {{-5, -kInfinity, -7}, 3, 2, 1, {-5, -7}, {4, 4}},  // padding is less than any of them
  };
  for_each_backend([&](Backend& backend) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const Expected& expected : all) {
        const auto width = static_cast<int>(expected.row.size());
        const auto outputs = static_cast<int>(expected.output.size());
        const MaxPoolGeometry geometry{1, 1,       width, 1, expected.kernel, expected.stride, expected.padding,
                                       1, outputs, dtype};
        const Outputs actual = run_max_pool_forward(backend, geometry, {expected.row, {}, {}});
        CHECK(same(actual.at("output").values, expected.output));
        CHECK(same(actual.at("without winners").values, expected.output));
        CHECK(actual.at("winners").values == expected.winners);
      }
    }
  });
}

TEST_CASE("there are as many windows as in PyTorch") {
  CHECK(count_windows(32, 2, 2, 0, false) == 16);
  CHECK(count_windows(5, 2, 2, 0, false) == 2);
  CHECK(count_windows(5, 2, 2, 0, true) == 3);
  CHECK(count_windows(112, 3, 2, 1, false) == 56);
  CHECK(count_windows(113, 3, 2, 1, false) == 57);
  CHECK(count_windows(6, 3, 2, 1, true) == 4);
  CHECK(count_windows(4, 2, 3, 1, true) == 2);  // a third one would start in the padding behind the image
  CHECK(count_windows(1, 2, 2, 0, true) == 1);
  CHECK(count_windows(1, 2, 2, 0, false) == 0);
  CHECK(count_windows(1, 3, 2, 0, true) == 0);
}

TEST_CASE("max pooling gradients are those of central differences where no two numbers are equal") {
  std::vector<cases::MaxPoolCase> small;
  for (cases::MaxPoolCase c : cases::max_pool_cases()) {
    c.levels = 0;
    if (c.geometry(DType::f32).input_shape().numel() < 2000) small.push_back(c);
  }
  check_differences(small, 0.25F, run_max_pool_forward, run_max_pool_backward);  // numbers are 1 apart
}

TEST_CASE("gradients of averages of windows are those of central differences") {
  check_differences(cases::window_average_cases(), 1.0F, run_window_average_forward, run_window_average_backward);
}

TEST_CASE("gradients of flattening are those of central differences") {
  check_differences(cases::flatten_cases(), 1.0F, run_flatten_forward, run_flatten_backward);
}

TEST_CASE("a flat image is in PyTorch's order: channel by channel") {
  for_each_backend([](Backend& backend) {
    const Outputs flat =
        run_flatten_forward(backend, {2, 2, 3, DType::f32}, {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {}, {}});
    CHECK(flat.at("output").values == std::vector<double>{1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12});
  });
}

TEST_CASE("accumulated gradients of pooling are what was there plus the overwriting ones") {
  const auto check = [](Backend& backend, const auto& cases, auto backward) {
    for (const auto& c : cases) {
      INFO(c.name);
      const auto inputs = make_inputs(c);
      std::vector<double> expected = backward(backend, c, inputs, GradMode::overwrite).at("d_input").values;
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += double{inputs.d_input_before[i]};
      const Comparison comparison =
          compare_scaled(backward(backend, c, inputs, GradMode::accumulate).at("d_input").values, expected,
                         relative_tolerance(DType::f32));
      INFO(comparison.report());
      CHECK(comparison.ok());
    }
  };
  const auto of_image = [](auto run) {
    return [run](Backend& backend, const auto& c, const auto& inputs, GradMode mode) {
      return run(backend, c.geometry(DType::f32), inputs, mode);
    };
  };
  for_each_backend([&](Backend& backend) {
    check(backend, cases::pool_cases(), of_image(run_pool_backward));
    check(backend, cases::max_pool_cases(), of_image(run_max_pool_backward));
    check(backend, cases::window_average_cases(), of_image(run_window_average_backward));
    check(backend, cases::flatten_cases(), of_image(run_flatten_backward));
    check(backend, cases::linear_cases(), [](Backend& on, const auto& c, const auto& inputs, GradMode mode) {
      return run_linear_backward(on, c.geometry(), inputs, mode);
    });
  });
}

}  // namespace bsq::test
