// The activation lsq of norm_act, where its right answer is known exactly: a grid from 0 to a ceiling that is learned.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

namespace bsq::test {
namespace {

using Values = std::vector<double>;

constexpr NormActGeometry kGeometry{.rows = 4, .channels = 2};
/// Levels 0 to 3, half apart.
constexpr NormActRule kRule{.activation = Activation::lsq, .act_bits = 2, .normalize = false, .clip_gain = 6};

NormActInputs lsq_inputs() {
  NormActInputs inputs;
  inputs.x = {-1, 0.125F, 0.375F, 0.5F, 1.0625F, 1.5F, 2, 1.375F};
  inputs.beta = {0, 0};
  inputs.x_unit = {1};
  inputs.clip = {1.5F};
  return inputs;
}

}  // namespace

TEST_CASE("lsq rounds to levels up to its ceiling, whatever the largest number is") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = lsq_inputs();
    const Outputs levels = run_norm_act_forward(backend, kGeometry, kRule, inputs);
    CHECK(levels.at("y").values == Values{0, 0, 1, 1, 2, 3, 3, 3});
    CHECK(levels.at("y_unit").values == Values{0.5});
    CHECK(levels.at("act_scale").values == Values{1.5});
    inputs.x_unit.clear();
    CHECK(run_norm_act_forward(backend, kGeometry, kRule, inputs).at("y").values ==
          Values{0, 0, 0.5, 0.5, 1, 1.5, 1.5, 1.5});
  });
}

TEST_CASE("the ceiling of lsq learns from what is above it, and from the rounding of what is below") {
  for_each_backend([](Backend& backend) {
    NormActInputs inputs = lsq_inputs();
    inputs.x_unit.clear();
    const auto d_clip = [&](std::size_t at) {
      inputs.d_y.assign(8, 0);
      inputs.d_y[at] = 8;
      const Outputs gradients = run_norm_act_backward(backend, kGeometry, kRule, inputs, {});
      CHECK(gradients.at("d_x").values[at] == (at == 0 || at == 5 || at == 6 ? 0 : 8));
      return gradients.at("d_clip").values[0];
    };
    CHECK(d_clip(0) == 0);
    // 6 * 8 * (round(v) - v) / 3, v = x / 0.5.
    const double within = relative_tolerance(DType::f32);
    CHECK(d_clip(1) == Approx(16 * -0.25).epsilon(within));
    CHECK(d_clip(2) == Approx(16 * 0.25).epsilon(within));
    CHECK(d_clip(3) == 0);
    CHECK(d_clip(4) == Approx(16 * -0.125).epsilon(within));
    CHECK(d_clip(5) == 48);
    CHECK(d_clip(6) == 48);
    CHECK(d_clip(7) == Approx(16 * 0.25).epsilon(within));
  });
}

}  // namespace bsq::test
