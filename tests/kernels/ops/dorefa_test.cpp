// Weights of DoReFa: the tanh that decides levels, values by hand, the gradients of METHOD 19 against differences.
#include "kernels/dorefa_tanh.h"
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

#include <cmath>

namespace bsq::test {
namespace {

DorefaInputs at_rest(std::vector<float> v) {
  DorefaInputs inputs;
  inputs.momentum.assign(v.size(), 0.0F);
  inputs.d_weights.assign(v.size(), 0.0F);
  inputs.v = std::move(v);
  return inputs;
}

const cases::DorefaCase kTwoBits{"2 bits", 0, {5}, {2}, 1, {0, 0}};

/// The published function of v in double, without rounding: s tanh(v) / max |tanh v|.
std::vector<double> unrounded(const std::vector<double>& v, double scale) {
  double peak = 0;
  for (const double x : v) peak = std::max(peak, std::abs(std::tanh(x)));
  std::vector<double> weights;
  for (const double x : v) weights.push_back(scale * std::tanh(x) / peak);
  return weights;
}

}  // namespace

TEST_CASE("DoReFa's tanh is tanh, odd, never above 1, and 0 at 0") {
  for (int exponent = -30; exponent <= 4; ++exponent)
    for (int step = 0; step < 1000; ++step) {
      const float x = std::ldexp(1 + static_cast<float>(step) / 1000, exponent);
      const float h = dorefa_tanh(x);
      CHECK(h == Approx(std::tanh(double{x})).epsilon(5e-7));
      CHECK(dorefa_tanh(-x) == -h);
      CHECK(h <= 1);
    }
  CHECK(dorefa_tanh(0) == 0);
  CHECK(dorefa_tanh(INFINITY) == dorefa_tanh(7.9F));
  CHECK(std::isnan(dorefa_tanh(NAN)));
}

TEST_CASE("levels of DoReFa are odd, symmetric, and reach the ends at the largest weight") {
  for_each_backend([](Backend& backend) {
    const float h = std::atanh(0.5F);
    const DorefaInputs inputs = at_rest({0.25F, -0.75F, 0, std::atanh(0.2F), -h});
    // T is that of -0.75; ties of 0 go up
    const Outputs outputs = run_weights_from_dorefa(backend, kTwoBits, inputs);
    const double s = static_cast<double>(kTwoBits.tensors()[0].scale);
    const std::vector<double> levels = {1, -3, 1, 1, -3};
    for (std::size_t i = 0; i < levels.size(); ++i)
      CHECK(outputs.at("weights").values[i] == Approx(s * levels[i] / 3).epsilon(1e-6));
    cases::DorefaCase integers = kTwoBits;
    integers.storage = WeightStorage::integers;
    const Outputs stored = run_weights_from_dorefa(backend, integers, inputs);
    CHECK(stored.at("weights").values == levels);
    CHECK(stored.at("weight_units").values[0] == Approx(s / 3).epsilon(1e-6));
    CHECK(stored.at("peaks").values == std::vector<double>{static_cast<double>(dorefa_tanh(0.75F)), 1});
  });
}

TEST_CASE("with one bit weights of DoReFa are their signs, and of equal peaks the first one counts") {
  for_each_backend([](Backend& backend) {
    const cases::DorefaCase one{"1 bit", 0, {4}, {1}, 1, {0, 0}, WeightStorage::integers};
    const Outputs outputs = run_weights_from_dorefa(backend, one, at_rest({0.1F, -0.2F, 0.2F, -0.01F}));
    CHECK(outputs.at("weights").values == std::vector<double>{1, -1, 1, -1});
    CHECK(outputs.at("peaks").values[1] == 1);
  });
}

TEST_CASE("the gradient of DoReFa is the slope of its weights before rounding, that of the largest one included") {
  const bool upside_down = GENERATE(false, true);
  for_each_backend([&](Backend& backend) {
    DorefaInputs inputs = at_rest({0.3F, -1.25F, 0.7F, 0.05F, -0.4F});
    inputs.d_weights = {0.3F, -0.2F, 0.7F, 0.1F, -0.4F};
    if (upside_down)
      for (float& d_weight : inputs.d_weights) d_weight = -d_weight;
    const std::vector<double> gradients = run_dorefa_step(backend, kTwoBits, inputs).at("momentum").values;
    const double scale = static_cast<double>(kTwoBits.tensors()[0].scale);
    for (std::size_t i = 0; i < inputs.v.size(); ++i) {
      constexpr double kDistance = 1e-6;
      const auto loss = [&](double moved) {
        std::vector<double> v(inputs.v.begin(), inputs.v.end());
        v[i] += moved;
        double sum = 0;
        const std::vector<double> weights = unrounded(v, scale);
        for (std::size_t j = 0; j < v.size(); ++j) sum += weights[j] * static_cast<double>(inputs.d_weights[j]);
        return sum;
      };
      CHECK(gradients[i] == Approx((loss(kDistance) - loss(-kDistance)) / (2 * kDistance)).epsilon(1e-4));
    }
  });
}

TEST_CASE("a tensor of DoReFa whose weights are all 0 moves by its gradient") {
  for_each_backend([](Backend& backend) {
    DorefaInputs inputs = at_rest({0, 0, 0, 0, 0});
    inputs.d_weights = {1, 0, -1, 0.5F, 0};
    inputs.learning_rate = 0.5F;
    const double scale = static_cast<double>(kTwoBits.tensors()[0].scale);
    const std::vector<double> moved = run_dorefa_step(backend, kTwoBits, inputs).at("v").values;
    for (std::size_t i = 0; i < moved.size(); ++i)
      CHECK(moved[i] == Approx(-0.5 * scale * static_cast<double>(inputs.d_weights[i])));
  });
}

TEST_CASE("a NaN among weights of DoReFa stays one") {
  for_each_backend([](Backend& backend) {
    DorefaInputs inputs = at_rest({0.25F, NAN, 0, 0.5F, -1});
    inputs.d_weights.assign(5, 1.0F);
    const Outputs outputs = run_weights_from_dorefa(backend, kTwoBits, inputs);
    CHECK(std::isnan(outputs.at("weights").values[1]));
    CHECK(outputs.at("peaks").values[1] == 4);
    CHECK(std::isnan(run_dorefa_step(backend, kTwoBits, inputs).at("v").values[1]));
  });
}

}  // namespace bsq::test
