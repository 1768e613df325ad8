// Fixed-point weights and plain parameters: values, the straight-through step, PyTorch's SGD (METHOD 3 and 5).
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

#include <cmath>
#include <limits>

namespace bsq::test {
namespace {

FixedInputs resting(std::vector<float> u, std::vector<float> scales) {
  FixedInputs inputs;
  inputs.momentum.assign(u.size(), 0.0F);
  inputs.scale_momentum.assign(scales.size(), 0.0F);
  inputs.d_weights.assign(u.size(), 0.0F);
  inputs.u = std::move(u);
  inputs.scales = std::move(scales);
  return inputs;
}

}  // namespace

TEST_CASE("fixed-point weights are clamped, and rounded half to even") {
  for_each_backend([](Backend& backend) {
    const cases::FixedCase one_bit{"1 bit", 0, {8}, {1}, 1, {}};
    CHECK(run_weights_from_fixed(backend, one_bit, resting({-7, -1, -0.75F, -0.5F, 0.5F, 0.75F, 1, 7}, {3}))
              .at("weights")
              .values == std::vector<double>{-3, -3, -3, 0, 0, 3, 3, 3});
    const cases::FixedCase two_bits{"2 bits", 0, {4}, {2}, 1, {}};  // levels of 1/3; 0.5 is a tie: 1.5 -> 2
    const Comparison comparison = compare_scaled(
        run_weights_from_fixed(backend, two_bits, resting({0.5F, -0.5F, 0.4F, 0.9F}, {3})).at("weights").values,
        {2, -2, 1, 3}, relative_tolerance(DType::f32));
    INFO(comparison.report());
    CHECK(comparison.ok());
  });
}

TEST_CASE("a tensor of 0 bits is zero, and nothing of it moves") {
  for_each_backend([](Backend& backend) {
    const cases::FixedCase c{"pruned", 0, {3, 2}, {0, 4}, 1, {}};
    FixedInputs inputs = resting({0.5F, -0.5F, 1, 0.25F, -1}, {2, 0.5F});
    inputs.d_weights.assign(5, 1.0F);
    inputs.momentum.assign(5, 0.5F);
    inputs.scale_momentum.assign(2, 0.5F);
    const std::vector<double> weights = run_weights_from_fixed(backend, c, inputs).at("weights").values;
    const Outputs stepped = run_fixed_step(backend, c, inputs);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(weights[i] == 0);
      CHECK(stepped.at("u").values[i] == inputs.u[i]);
      CHECK(stepped.at("momentum").values[i] == 0.5);
    }
    CHECK(stepped.at("scales").values[0] == 2);
    CHECK(stepped.at("scale_momentum").values[0] == 0.5);
    CHECK(weights[4] == -0.5);  // its neighbour lives
    CHECK(stepped.at("u").values[3] < inputs.u[3]);
    CHECK(stepped.at("scales").values[1] != 0.5);
  });
}

TEST_CASE("the gradient of u is the slope of the weight between two points of the grid, that of s the one q gives it") {
  for_each_backend([](Backend& backend) {
    for (int bits = 1; bits <= 8; ++bits) {
      INFO(bits << " bits");
      const cases::FixedCase c{"slope", 0, {3}, {bits}, 1, {0, 0}};
      const float level = 1.0F / static_cast<float>((1 << bits) - 1);
      FixedInputs inputs = resting({0, 0, -level}, {0.7F});
      inputs.d_weights = {0.3F, -0.2F, -0.1F};  // the last moves away from the end of its range
      const Outputs stepped = run_fixed_step(backend, c, inputs);
      const std::vector<double> at_zero = run_weights_from_fixed(backend, c, inputs).at("weights").values;
      FixedInputs above = inputs;
      for (float& u : above.u) u += level;
      const std::vector<double> at_level = run_weights_from_fixed(backend, c, above).at("weights").values;
      std::vector<double> gradient;
      std::vector<double> slope;
      for (std::size_t i = 0; i < 3; ++i) {
        gradient.push_back((inputs.u[i] - stepped.at("u").values[i]) / inputs.learning_rate);
        slope.push_back((at_level[i] - at_zero[i]) / level * inputs.d_weights[i]);
      }
      // u is rounded to 6e-8 over a learning rate of 0.1, where it is -1.
      const Comparison comparison = compare(gradient, slope, {relative_tolerance(DType::f32), 6e-7});
      INFO(comparison.report());
      CHECK(comparison.ok());
      const double d_scale = (inputs.scales[0] - stepped.at("scales").values[0]) / inputs.learning_rate;
      CHECK(d_scale == Approx(-level * inputs.d_weights[2]).epsilon(1e-4).margin(6e-7));
    }
  });
}

TEST_CASE("u is clamped to [-1, 1] after the step, the scale and the momentum are not") {
  for_each_backend([](Backend& backend) {
    const cases::FixedCase c{"clamp", 0, {2}, {4}, 1, {0, 0}};
    FixedInputs inputs = resting({1, -1}, {1});
    inputs.d_weights = {-8, 16};
    inputs.learning_rate = 1;
    const Outputs stepped = run_fixed_step(backend, c, inputs);
    CHECK(stepped.at("u").values == std::vector<double>{1, -1});
    CHECK(stepped.at("momentum").values == std::vector<double>{-8, 16});
    CHECK(stepped.at("scales").values[0] == 25);  // g = 1 * -8 + -1 * 16
  });
}

TEST_CASE("sgd_step is PyTorch's: momentum of the gradient with decay, the first step without it") {
  for_each_backend([](Backend& backend) {
    SgdInputs inputs{{1}, {0}, {0.5F}};
    const SgdRule rule{0.9F, 0.01F};
    Outputs stepped = run_sgd_step(backend, rule, inputs);
    const double rounding = relative_tolerance(DType::f32);
    CHECK(stepped.at("momentum").values[0] == Approx(0.51).epsilon(rounding));    // 0.5 + 0.01
    CHECK(stepped.at("parameter").values[0] == Approx(0.949).epsilon(rounding));  // 1 - 0.1 * 0.51
    inputs.parameter[0] = static_cast<float>(stepped.at("parameter").values[0]);
    inputs.momentum[0] = static_cast<float>(stepped.at("momentum").values[0]);
    stepped = run_sgd_step(backend, rule, inputs);
    CHECK(stepped.at("momentum").values[0] == Approx(0.96849).epsilon(rounding));    // 0.459 + 0.5 + 0.00949
    CHECK(stepped.at("parameter").values[0] == Approx(0.852151).epsilon(rounding));  // 0.949 - 0.096849
  });
}

TEST_CASE("sgd_step with nesterov gives the numbers of PyTorch's SGD(nesterov=True)") {
  // o = torch.optim.SGD([x], lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True); x.grad = g; o.step()
  const std::vector<std::vector<float>> gradients = {{0.5F, -1, 2}, {0.25F, 0.5F, -1}, {-1, 0.125F, 0.75F}};
  const std::vector<std::vector<double>> parameters = {{0.903100014, -0.309049994, -0.130475},
                                                       {0.812574148, -0.322057813, -0.102429599},
                                                       {0.942869723, -0.312181085, -0.309611559}};
  const std::vector<double> last_momentum = {-0.345646381, -0.24505198, 1.46982646};
  for_each_backend([&](Backend& backend) {
    SgdInputs inputs{{1, -0.5F, 0.25F}, {0, 0, 0}, {}, {}};
    for (std::size_t step = 0; step < gradients.size(); ++step) {
      inputs.gradient = gradients[step];
      const Outputs stepped = run_sgd_step(backend, {0.9F, 0.01F, true}, inputs);
      const std::vector<double>& x = stepped.at("parameter").values;
      const std::vector<double>& v = stepped.at("momentum").values;
      CHECK(compare_scaled(x, parameters[step], relative_tolerance(DType::f32)).ok());
      if (step == 2) CHECK(compare_scaled(v, last_momentum, relative_tolerance(DType::f32)).ok());
      inputs.parameter.assign(x.begin(), x.end());
      inputs.momentum.assign(v.begin(), v.end());
    }
  });
}

TEST_CASE("of plain parameters those blocks decay that are to") {
  for_each_backend([](Backend& backend) {
    SgdInputs inputs;
    inputs.parameter.assign(40, 2.0F);
    inputs.momentum.assign(40, 0.0F);
    inputs.gradient.assign(40, 0.0F);
    inputs.marks = {0, kDecays, 0};
    const Outputs stepped = run_sgd_step(backend, {.momentum = 0.5F, .weight_decay = 0.25F}, inputs);
    for (std::size_t i = 0; i < 40; ++i) CHECK(stepped.at("momentum").values[i] == (i >= 16 && i < 32 ? 0.5 : 0.0));
  });
}

TEST_CASE("of plain parameters those blocks that are marked so are halved at most, and their momentum is not") {
  for_each_backend([](Backend& backend) {
    SgdInputs inputs;
    inputs.parameter.assign(32, 2.0F);
    inputs.momentum.assign(32, 0.0F);
    for (int i = 0; i < 32; ++i) inputs.gradient.push_back(static_cast<float>(i % 16));
    inputs.learning_rate = 0.25F;
    inputs.marks = {kHalves, kDecays};
    const Outputs stepped = run_sgd_step(backend, {.momentum = 0.5F, .weight_decay = 0}, inputs);
    for (std::size_t i = 0; i < 32; ++i) {
      const double gradient = inputs.gradient[i], next = 2 - 0.25 * gradient;
      CHECK(stepped.at("momentum").values[i] == gradient);
      CHECK(stepped.at("parameter").values[i] == (i < 16 ? std::max(next, 1.0) : next));
    }
    inputs.gradient[3] = std::numeric_limits<float>::quiet_NaN();
    CHECK(std::isnan(run_sgd_step(backend, {}, inputs).at("parameter").values[3]));
  });
}

}  // namespace bsq::test
