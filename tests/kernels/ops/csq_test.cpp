// Weights whose planes and masks are gates: values by hand, gradients against differences, what hard gates keep.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

#include <cmath>

namespace bsq::test {
namespace {

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

/// Two planes of three weights: p_0, p_1, n_0, n_1.
cases::CsqCase two_planes() {
  cases::CsqCase c{"2 planes", 0, {3}, {2}};
  c.numbers = {.temperature = 2, .strength = 0, .target = 1};
  c.rule = {0, 0};
  return c;
}

CsqInputs at_rest() {
  CsqInputs inputs;
  inputs.planes = {0.5F, -1, 0.25F, 1, 0, -0.5F, -0.25F, 1, 2, 0, 0.125F, -2};
  inputs.momentum.assign(12, 0.0F);
  inputs.scales = {0.75F};
  inputs.scale_momentum = {0};
  inputs.masks = {0.5F, -0.25F};
  inputs.mask_momentum = {0, 0};
  inputs.d_weights = {0.3F, -0.2F, 0.7F};
  inputs.learning_rate = 1;
  return inputs;
}

double loss_of(Backend& backend, const cases::CsqCase& c, const CsqInputs& inputs) {
  const Outputs outputs = run_weights_from_csq(backend, c, inputs);
  double sum = 0;
  for (std::size_t i = 0; i < inputs.d_weights.size(); ++i)
    sum += outputs.at("weights").values[i] * static_cast<double>(inputs.d_weights[i]);
  return sum;
}

/// (loss(x + h) - loss(x - h)) / 2h, of every number of one kind.
std::vector<double> slopes(Backend& backend, const cases::CsqCase& c, std::vector<float> CsqInputs::*numbers) {
  constexpr float h = 1.0F / 64;
  std::vector<double> result;
  for (std::size_t i = 0; i < (at_rest().*numbers).size(); ++i) {
    CsqInputs above = at_rest(), below = at_rest();
    (above.*numbers)[i] += h;
    (below.*numbers)[i] -= h;
    result.push_back((loss_of(backend, c, above) - loss_of(backend, c, below)) / (2 * static_cast<double>(h)));
  }
  return result;
}

}  // namespace

TEST_CASE("weights of CSQ are the sum of gated planes behind gated masks") {
  for_each_backend([](Backend& backend) {
    const Outputs outputs = run_weights_from_csq(backend, two_planes(), at_rest());
    const double first = 2.0 / 3 * sigmoid(1) * (sigmoid(1) - sigmoid(-0.5));
    const double second = 1.0 / 3 * sigmoid(-0.5) * (sigmoid(2) - sigmoid(0));
    CHECK(outputs.at("weights").values[0] == Approx(0.75 * (first + second)).epsilon(1e-6));
    CHECK(outputs.at("budget").values[0] == 1);  // one of two masks counts, of all weights
    const double pull = 0.5;                     // one tensor of 2 bits
    CHECK(outputs.at("budget").values[1] == Approx((1 - 1) * pull).margin(1e-12));
  });
}

TEST_CASE("a mask of 0 counts while it is soft, and not once it is hard") {
  for_each_backend([](Backend& backend) {
    cases::CsqCase c = two_planes();
    CsqInputs inputs = at_rest();
    inputs.masks = {0, -0.0F};
    Outputs outputs = run_weights_from_csq(backend, c, inputs);
    CHECK(outputs.at("budget").values[0] == 2);
    CHECK(outputs.at("budget").values[1] == Approx((2 - 1) * 0.5 * (0.5 + 0.5)));
    c.numbers.hardness = CsqHardness::masks;
    outputs = run_weights_from_csq(backend, c, inputs);
    CHECK(outputs.at("budget").values == std::vector<double>{0, 0});
    CHECK(outputs.at("weights").values == std::vector<double>{0, 0, 0});
  });
}

TEST_CASE("the gradients of CSQ are the slopes of its weights") {
  for_each_backend([](Backend& backend) {
    const cases::CsqCase c = two_planes();
    const Outputs stepped = run_csq_step(backend, c, at_rest());
    const auto check = [&](const char* momentum, std::vector<float> CsqInputs::*numbers) {
      INFO(backend.name() << ", " << momentum);
      const std::vector<double> expected = slopes(backend, c, numbers);
      const std::vector<double>& found = stepped.at(momentum).values;
      REQUIRE(found.size() == expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i)
        CHECK(found[i] == Approx(expected[i]).epsilon(2e-3).margin(2e-5));
    };
    check("momentum", &CsqInputs::planes);
    check("scale_momentum", &CsqInputs::scales);
    check("mask_momentum", &CsqInputs::masks);
  });
}

TEST_CASE("the budget of CSQ pulls masks down above its target and up below it") {
  for_each_backend([](Backend& backend) {
    cases::CsqCase c = two_planes();
    c.numbers.strength = 0.5F;
    CsqInputs inputs = at_rest();
    inputs.d_weights.assign(3, 0.0F);
    for (const double excess : {0.75, -0.25}) {
      inputs.budget.bits = 1 + excess;
      const Outputs stepped = run_csq_step(backend, c, inputs);
      for (std::size_t b = 0; b < 2; ++b) {
        const double mask = sigmoid(2.0 * static_cast<double>(inputs.masks[b]));
        const double expected = 0.5 * excess * 0.5 * 2 * mask * (1 - mask);
        CHECK(stepped.at("mask_momentum").values[b] == Approx(expected).epsilon(1e-5));
      }
      CHECK(stepped.at("penalty").values.at(1) == inputs.budget.loss);
    }
  });
}

TEST_CASE("hard masks neither move nor decay, those of a tensor of fixed width neither") {
  for_each_backend([](Backend& backend) {
    cases::CsqCase hard = two_planes();
    hard.numbers = {.temperature = 2, .hardness = CsqHardness::masks, .strength = 1, .target = 0};
    hard.rule = {0.9F, 0.5F};
    cases::CsqCase fixed = two_planes();
    fixed.numels = {3, 3, 3};
    fixed.bits = {2, 2, 2};
    fixed.some_fixed = true;
    fixed.rule = {0.9F, 0.5F};
    for (const cases::CsqCase& c : {hard, fixed}) {
      CsqInputs inputs = make_inputs(c);
      const Outputs stepped = run_csq_step(backend, c, inputs);
      const std::size_t first = c.some_fixed ? 4 : 0;  // of the masks that stay
      for (std::size_t b = 0; b < inputs.masks.size(); ++b) {
        INFO(backend.name() << ", mask " << b);
        CHECK((stepped.at("masks").values[b] == static_cast<double>(inputs.masks[b])) == (b >= first));
        CHECK((stepped.at("mask_momentum").values[b] == static_cast<double>(inputs.mask_momentum[b])) == (b >= first));
      }
    }
  });
}

TEST_CASE("a NaN among planes of CSQ stays one, and reaches scale and masks") {
  for_each_backend([](Backend& backend) {
    CsqInputs inputs = at_rest();
    inputs.planes[4] = NAN;
    CHECK(std::isnan(run_weights_from_csq(backend, two_planes(), inputs).at("weights").values[1]));
    const Outputs stepped = run_csq_step(backend, two_planes(), inputs);
    CHECK(std::isnan(stepped.at("planes").values[4]));
    CHECK(std::isnan(stepped.at("scales").values[0]));
    CHECK(std::isnan(stepped.at("masks").values[1]));
  });
}

TEST_CASE("gates of CSQ are finite whatever the temperature") {
  for_each_backend([](Backend& backend) {
    cases::CsqCase c = two_planes();
    c.numbers.temperature = 1e6F;
    CsqInputs inputs = at_rest();
    for (const Outputs& outputs : {run_weights_from_csq(backend, c, inputs), run_csq_step(backend, c, inputs)})
      for (const auto& [name, output] : outputs)
        for (const double value : output.values) CHECK(std::isfinite(value));
  });
}

}  // namespace bsq::test
