// Weights of MSQ: levels and last bits by hand, the gradients of METHOD 20, what becomes of levels when a bit goes.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

#include <cmath>

namespace bsq::test {
namespace {

MsqInputs msq_at_rest(std::vector<float> u, float scale = 1) {
  MsqInputs inputs;
  inputs.momentum.assign(u.size(), 0.0F);
  inputs.d_weights.assign(u.size(), 0.0F);
  inputs.scales = {scale};
  inputs.scale_momentum = {0};
  inputs.u = std::move(u);
  return inputs;
}

cases::MsqCase case_of(std::int64_t numel, int bits, float strength = 0) {
  return {"by hand", 0, {numel}, {bits}, 1, strength, {0, 0}, WeightStorage::integers};
}

std::vector<float> numbers_between_ends(int count) {
  std::vector<float> u;
  for (int i = 0; i <= count; ++i) u.push_back(2 * static_cast<float>(i) / static_cast<float>(count) - 1);
  return u;
}

}  // namespace

TEST_CASE("levels of MSQ are 2^n u, rounded and kept within 2^n - 1 on either side") {
  for_each_backend([](Backend& backend) {
    // 4 u = -4, -3.2, -2.5 (even: up), -0.5 (even: 0), 0.4, 1.5 (even: up), 3.4, 4
    const std::vector<float> u = {-1, -0.8F, -0.625F, -0.125F, 0.1F, 0.375F, 0.85F, 1};
    const Outputs outputs = run_weights_from_msq(backend, case_of(8, 2), msq_at_rest(u, 1.5F));
    CHECK(outputs.at("weights").values == std::vector<double>{-3, -3, -2, 0, 0, 2, 3, 3});
    CHECK(outputs.at("weight_units").values == std::vector<double>{0.375});
    cases::MsqCase in_values = case_of(8, 2);
    in_values.storage = WeightStorage::values;
    CHECK(run_weights_from_msq(backend, in_values, msq_at_rest(u, 1.5F)).at("weights").values[5] == Approx(0.75));
    const Outputs one_bit = run_weights_from_msq(backend, case_of(4, 1), msq_at_rest({-1, -0.25F, 0.3F, 1}));
    CHECK(one_bit.at("weights").values == std::vector<double>{-1, 0, 1, 1});
    CHECK(run_weights_from_msq(backend, case_of(2, 0), msq_at_rest({1, -1})).at("weights").values ==
          std::vector<double>{0, 0});
  });
}

TEST_CASE("the penalty of MSQ pulls weights to the level that one bit less would give them") {
  const int bits = GENERATE(2, 3, 5, 8);
  for_each_backend([&](Backend& backend) {
    const std::vector<float> u = numbers_between_ends(4099);
    const std::vector<double> gradients =
        run_msq_step(backend, case_of(std::ssize(u), bits, 0.5F), msq_at_rest(u)).at("momentum").values;
    const double size = 0.5 * std::ldexp(1.0, -bits), most = std::ldexp(1.0, bits) - 1;
    int pulled = 0;
    for (std::size_t i = 0; i < u.size(); ++i) {
      const double level = std::clamp(std::nearbyint(std::ldexp(double{u[i]}, bits)), -most, most);
      const double less = (most - 1) / 2;
      const double coarser = std::clamp(std::nearbyint(std::ldexp(double{u[i]}, bits - 1)), -less, less);
      const double last_bit = level - 2 * coarser;
      CHECK(gradients[i] == Approx(last_bit == 0 ? 0 : std::copysign(size, last_bit)));
      CHECK(std::abs(last_bit) <= 1);
      if (last_bit != 0) ++pulled;
    }
    CHECK(pulled > 1900);  // half of the levels are odd
    CHECK(pulled < 3200);
  });
}

TEST_CASE("descent by the penalty alone empties the last bits, and then rests") {
  for_each_backend([](Backend& backend) {
    const cases::MsqCase c = case_of(257, 4, 1.0F);
    MsqInputs inputs = msq_at_rest(numbers_between_ends(256));
    inputs.learning_rate = 0.25F;
    const auto odd_levels = [&] {
      int count = 0;
      const Outputs outputs = run_weights_from_msq(backend, c, inputs);
      for (const double k : outputs.at("weights").values)
        if (static_cast<int>(k) % 2 != 0) ++count;
      return count;
    };
    CHECK(odd_levels() > 100);
    for (int step = 0; step < 12; ++step) {
      const Outputs after = run_msq_step(backend, c, inputs);
      inputs.u.assign(after.at("u").values.begin(), after.at("u").values.end());
    }
    CHECK(odd_levels() == 0);
    const std::vector<float> rested = inputs.u;
    const std::vector<double> again = run_msq_step(backend, c, inputs).at("u").values;
    CHECK(again == std::vector<double>(rested.begin(), rested.end()));
  });
}

TEST_CASE("gradients of MSQ are straight through: s dW of u, and of s the slope of the weights") {
  for_each_backend([](Backend& backend) {
    cases::MsqCase c = case_of(5, 3);
    c.storage = WeightStorage::values;
    MsqInputs inputs = msq_at_rest({0.3F, -0.9F, 0.7F, 0.05F, 1}, 0.75F);
    inputs.d_weights = {0.3F, -0.2F, 0.7F, 0.1F, -0.4F};
    const Outputs moved = run_msq_step(backend, c, inputs);
    double d_scale = 0;
    const std::vector<double> weights = run_weights_from_msq(backend, c, inputs).at("weights").values;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      CHECK(moved.at("momentum").values[i] == Approx(0.75 * static_cast<double>(inputs.d_weights[i])));
      d_scale += weights[i] / 0.75 * static_cast<double>(inputs.d_weights[i]);
    }
    CHECK(moved.at("scale_momentum").values[0] == Approx(d_scale));
    CHECK(moved.at("u").values[4] == 1);  // and not beyond
  });
}

TEST_CASE("a scale of MSQ stays above 0, and a NaN stays one") {
  for_each_backend([](Backend& backend) {
    MsqInputs inputs = msq_at_rest({1, 1, 1}, 0.125F);
    inputs.d_weights = {4, 4, 4};
    inputs.learning_rate = 1;
    CHECK(run_msq_step(backend, case_of(3, 2), inputs).at("scales").values[0] ==
          static_cast<double>(kSmallestMsqScale));
    inputs.u[1] = NAN;
    const Outputs outputs = run_msq_step(backend, case_of(3, 2, 1), inputs);
    CHECK(std::isnan(outputs.at("u").values[1]));
    CHECK(std::isnan(outputs.at("scales").values[0]));
    CHECK(std::isnan(run_weights_from_msq(backend, case_of(3, 2), inputs).at("weights").values[1]));
  });
}

}  // namespace bsq::test
