// Weights whose step is trained: values by hand, the gradients of METHOD 13, the smallest step.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

#include <cmath>

namespace bsq::test {
namespace {

LsqInputs at_rest(std::vector<float> w, std::vector<float> steps) {
  LsqInputs inputs;
  inputs.momentum.assign(w.size(), 0.0F);
  inputs.step_momentum.assign(steps.size(), 0.0F);
  inputs.d_weights.assign(w.size(), 0.0F);
  inputs.w = std::move(w);
  inputs.steps = std::move(steps);
  return inputs;
}

const cases::LsqCase kTwoBits{"2 bits", 0, {6}, {2}, 1, {0, 0}};

}  // namespace

TEST_CASE("weights of LSQ are levels times the step, clamped, rounded half to even") {
  for_each_backend([](Backend& backend) {
    const LsqInputs inputs = at_rest({0.25F, 0.75F, -0.75F, 0.8F, 9, -9}, {0.5F});
    CHECK(run_weights_from_lsq(backend, kTwoBits, inputs).at("weights").values ==
          std::vector<double>{0, 1, -1, 1, 1.5, -1.5});
    cases::LsqCase longer = kTwoBits;
    longer.symmetric = false;
    CHECK(run_weights_from_lsq(backend, longer, inputs).at("weights").values ==
          std::vector<double>{0, 1, -1, 1, 1.5, -2});
    cases::LsqCase integers = longer;
    integers.storage = WeightStorage::integers;
    const Outputs stored = run_weights_from_lsq(backend, integers, inputs);
    CHECK(stored.at("weights").values == std::vector<double>{0, 2, -2, 2, 3, -4});
    CHECK(stored.at("weight_units").values == std::vector<double>{0.5});
  });
}

TEST_CASE("LSQ passes the gradient of a weight on its grid, of one beyond only its level moves the step") {
  for_each_backend([](Backend& backend) {
    // quotients 0.5, 1.75, -3 (an end counts as inside), 3.5, -40, 0
    LsqInputs inputs = at_rest({0.25F, 0.875F, -1.5F, 1.75F, -20, 0}, {0.5F});
    inputs.d_weights = {1, 2, 4, 8, 16, 32};
    inputs.learning_rate = 0.125F;
    const Outputs stepped = run_lsq_step(backend, kTwoBits, inputs);
    CHECK(stepped.at("momentum").values == std::vector<double>{1, 2, 4, 0, 0, 32});
    // k - w / s: -0.5, 0.25, 0; k: 3, -3; 0
    const double sum = -0.5 * 1 + 0.25 * 2 + 0 * 4 + 3 * 8 - 3 * 16;
    const double gradient = sum / std::sqrt(3.0 * 6);
    CHECK(stepped.at("step_momentum").values[0] == Approx(gradient).epsilon(1e-6));
    CHECK(stepped.at("steps").values[0] == Approx(0.5 - 0.125 * gradient).epsilon(1e-6));
    CHECK(stepped.at("w").values == std::vector<double>{0.125, 0.625, -2, 1.75, -20, -4});
  });
}

TEST_CASE("a step of LSQ adds what rounding does to the loss, to first order, to the sensitivity of each tensor") {
  for_each_backend([](Backend& backend) {
    LsqInputs inputs = at_rest({0.25F, 0.875F, -1.5F, 1.75F, -20, 0}, {0.5F});
    inputs.d_weights = {1, 2, 4, 8, 16, 32};
    cases::LsqCase measured = kTwoBits;
    measured.measures = true;
    // w - W: 0.25, -0.125, 0, 0.25, -18.5, 0; it was 0.5 before
    const double sum = 0.25 * 1 - 0.125 * 2 + 0.25 * 8 - 18.5 * 16;
    const Outputs stepped = run_lsq_step(backend, measured, inputs);
    CHECK(stepped.at("sensitivities").values == std::vector<double>{0.5 + std::abs(sum) / 6});
    const Outputs plain = run_lsq_step(backend, kTwoBits, inputs);
    for (const char* output : {"w", "momentum", "steps", "step_momentum"})
      CHECK(stepped.at(output).values == plain.at(output).values);
    measured.storage = WeightStorage::integers;  // whose gradient is dW times the step
    CHECK(run_lsq_step(backend, measured, inputs).at("sensitivities").values ==
          std::vector<double>{0.5 + 2 * std::abs(sum) / 6});
  });
}

TEST_CASE("every row of a tensor of LSQ has the levels and the step of a tensor of its own") {
  for_each_backend([](Backend& backend) {
    LsqInputs inputs = at_rest({0.25F, 0.875F, -1.5F, 1.75F, -20, 0}, {0.5F, 4});
    inputs.d_weights = {1, 2, 4, 8, 16, 32};
    inputs.learning_rate = 0.125F;
    cases::LsqCase rows = kTwoBits;
    rows.rows = 2;
    rows.measures = true;
    CHECK(run_weights_from_lsq(backend, rows, inputs).at("weights").values ==
          std::vector<double>{0, 1, -1.5, 0, -12, 0});
    const Outputs stepped = run_lsq_step(backend, rows, inputs);
    const double first = (-0.5 * 1 + 0.25 * 2 + 0 * 4) / std::sqrt(3.0 * 3);
    const double second = (-0.4375 * 8 - 3 * 16) / std::sqrt(3.0 * 3);
    CHECK(stepped.at("momentum").values == std::vector<double>{1, 2, 4, 8, 0, 32});
    CHECK(stepped.at("step_momentum").values[0] == Approx(first).margin(1e-6));
    CHECK(stepped.at("step_momentum").values[1] == Approx(second).epsilon(1e-6));
    CHECK(stepped.at("steps").values[1] == Approx(4 - 0.125 * second).epsilon(1e-6));
    // w - W: 0.25, -0.125, 0; 1.75, -8, 0
    CHECK(stepped.at("sensitivities").values[0] ==
          Approx(0.5 + (std::abs(0.25 * 1 - 0.125 * 2) + std::abs(1.75 * 8 - 8 * 16)) / 6).epsilon(1e-6));

    rows.storage = WeightStorage::integers;
    const Outputs stored = run_weights_from_lsq(backend, rows, inputs);
    CHECK(stored.at("weights").values == std::vector<double>{0, 2, -3, 0, -3, 0});
    CHECK(stored.at("weight_units").values == std::vector<double>{-1});  // is the caller's
    CHECK(run_lsq_step(backend, rows, inputs).at("momentum").values == std::vector<double>{2, 4, 8, 2, 0, 8});
  });
}

TEST_CASE("the gradient of LSQ's step is the slope of the weights along it, at fixed levels outside") {
  for_each_backend([](Backend& backend) {
    LsqInputs inputs = at_rest({7, -7, 8, -30, 100, 5}, {0.5F});  // all outside
    inputs.d_weights = {0.3F, -0.2F, 0.7F, 0.1F, -0.4F, 0.6F};
    const auto loss = [&](float step) {
      LsqInputs at = inputs;
      at.steps = {step};
      const std::vector<double> weights = run_weights_from_lsq(backend, kTwoBits, at).at("weights").values;
      double sum = 0;
      for (std::size_t i = 0; i < weights.size(); ++i) sum += weights[i] * static_cast<double>(inputs.d_weights[i]);
      return sum;
    };
    const double slope = (loss(0.53125F) - loss(0.46875F)) / 0.0625;
    const double gradient = run_lsq_step(backend, kTwoBits, inputs).at("step_momentum").values[0];
    CHECK(gradient * std::sqrt(3.0 * 6) == Approx(slope).epsilon(1e-5));
  });
}

TEST_CASE("weight decay pulls at weights of LSQ and not at the step, which never falls below the smallest") {
  for_each_backend([](Backend& backend) {
    cases::LsqCase c = kTwoBits;
    c.rule = {0, 0.5F};
    LsqInputs inputs = at_rest({1, -1, 0.5F, 0.25F, 40, 0}, {0.5F});
    Outputs stepped = run_lsq_step(backend, c, inputs);
    CHECK(stepped.at("momentum").values == std::vector<double>{0.5, -0.5, 0.25, 0.125, 20, 0});
    CHECK(stepped.at("steps").values == std::vector<double>{0.5});
    inputs.d_weights.assign(6, 1e6F);  // and the level of the largest is 3: the step would turn negative
    stepped = run_lsq_step(backend, c, inputs);
    CHECK(stepped.at("steps").values == std::vector<double>{double{kSmallestStep}});
  });
}

TEST_CASE("a tensor of LSQ without levels is zero, and nothing of it moves") {
  for_each_backend([](Backend& backend) {
    const cases::LsqCase c{"pruned", 0, {3, 2}, {0, 4}, 1, {}};
    LsqInputs inputs = at_rest({0.5F, -0.5F, 1, 0.25F, -1}, {2, 0.5F});
    inputs.d_weights.assign(5, 1.0F);
    inputs.momentum.assign(5, 0.5F);
    inputs.step_momentum.assign(2, 0.5F);
    const std::vector<double> weights = run_weights_from_lsq(backend, c, inputs).at("weights").values;
    const Outputs stepped = run_lsq_step(backend, c, inputs);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(weights[i] == 0);
      CHECK(stepped.at("w").values[i] == inputs.w[i]);
      CHECK(stepped.at("momentum").values[i] == 0.5);
    }
    CHECK(stepped.at("steps").values[0] == 2);
    CHECK(stepped.at("step_momentum").values[0] == 0.5);
    CHECK(weights[4] == -1);  // its neighbour lives
    CHECK(stepped.at("w").values[3] < inputs.w[3]);
    CHECK(stepped.at("steps").values[1] != 0.5);
  });
}

TEST_CASE("a NaN among weights of LSQ stays one") {
  for_each_backend([](Backend& backend) {
    LsqInputs inputs = at_rest({0.25F, NAN, 0, 0, 0, 0}, {0.5F});
    inputs.d_weights.assign(6, 1.0F);
    CHECK(std::isnan(run_weights_from_lsq(backend, kTwoBits, inputs).at("weights").values[1]));
    CHECK(std::isnan(run_lsq_step(backend, kTwoBits, inputs).at("w").values[1]));
    CHECK(std::isnan(run_lsq_step(backend, kTwoBits, inputs).at("steps").values[0]));
  });
}

}  // namespace bsq::test
