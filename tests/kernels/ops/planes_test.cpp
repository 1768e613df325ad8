// Bit planes: the weights they stand for, the group penalty, and the step (METHOD 1 to 3).
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random_tensors.h"
#include "tests/support/tolerances.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace bsq::test {
namespace {

cases::PlaneCase one_tensor(std::int64_t numel, int bits, float alpha = 0, SgdRule rule = {0, 0}) {
  return {"one tensor", 0, {numel}, {bits}, 1, alpha, rule};
}

/// Planes of 0 and 1 that hold every level from -(2^n - 1) to 2^n - 1, in order; p where it is positive, n elsewhere.
PlaneInputs every_level(int bits, float scale) {
  const int top_level = (1 << bits) - 1;
  const int numel = 2 * top_level + 1;
  PlaneInputs inputs;
  inputs.planes.assign(static_cast<std::size_t>(2 * bits * numel), 0.0F);
  for (int i = 0; i < numel; ++i) {
    const int level = i - top_level;
    for (int b = 0; b < bits; ++b) {
      const int plane = level > 0 ? b : bits + b;
      const int bit = std::abs(level) >> (bits - 1 - b) & 1;
      inputs.planes[static_cast<std::size_t>(plane * numel + i)] = static_cast<float>(bit);
    }
  }
  inputs.scales = {scale};
  return inputs;
}

std::vector<float> to_floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

/// Everything planes_step needs beside planes and scales: momentum at 0, norms as weights_from_planes gives them.
void complete(Backend& backend, const cases::PlaneCase& c, PlaneInputs& inputs) {
  inputs.momentum.assign(inputs.planes.size(), 0.0F);
  inputs.scale_momentum.assign(inputs.scales.size(), 0.0F);
  inputs.plane_norms = to_floats(run_weights_from_planes(backend, c, inputs).at("plane_norms").values);
}

/// The gradient that a step without momentum, decay and clamping reveals.
std::vector<double> implied_gradient(const std::vector<float>& before, const std::vector<double>& after,
                                     double learning_rate) {
  std::vector<double> gradient(before.size());
  for (std::size_t i = 0; i < before.size(); ++i) gradient[i] = (before[i] - after.at(i)) / learning_rate;
  return gradient;
}

}  // namespace

TEST_CASE("planes of 0 and 1 give the grid exactly, for every level of 1 to 8 bits") {
  for_each_backend([](Backend& backend) {
    for (int bits = 1; bits <= 8; ++bits) {
      const int top_level = (1 << bits) - 1;
      const PlaneInputs inputs = every_level(bits, 0.37F);
      const Outputs outputs = run_weights_from_planes(backend, one_tensor(2 * top_level + 1, bits), inputs);
      std::vector<double> expected;
      for (int level = -top_level; level <= top_level; ++level) {
        expected.push_back(double{inputs.scales[0]} * level / top_level);
      }
      // q and s q are each rounded to float32 once: two half ulps of 6e-8.
      const Comparison comparison = compare(outputs.at("weights").values, expected, {1.3e-7, 0});
      INFO(bits << " bits: " << comparison.report());
      CHECK(comparison.ok());
      CHECK(outputs.at("weights").values[static_cast<std::size_t>(top_level)] == 0);
    }
  });
}

TEST_CASE("what the planes add up to is clamped to one scale and rounded half to even") {
  for_each_backend([](Backend& backend) {
    PlaneInputs inputs;
    // 1 bit, where u = p - n is exact: p in the first half, n in the second.
    inputs.planes = {2, 1.5, 0.75, 0.5, 0, 0, 0.25, /* n */ 0, 0, 0, 0, 0.5, 2, 1};
    inputs.scales = {3};
    CHECK(run_weights_from_planes(backend, one_tensor(7, 1), inputs).at("weights").values ==
          std::vector<double>{3, 3, 3, 0, 0, -3, -3});
  });
}

TEST_CASE("plane norms and the penalty are those of the definition, an empty plane's norm being 1e-4") {
  for_each_backend([](Backend& backend) {
    const cases::PlaneCase c{"two tensors", 0, {2, 1}, {2, 1}, 1, 0, {}};
    PlaneInputs inputs;
    inputs.planes = {1, 2, 0, 0, /* n */ 2, 0, 0, 0, /* second tensor: p, n */ 0.5, 1.5};
    inputs.scales = {1, 1};
    const Outputs outputs = run_weights_from_planes(backend, c, inputs);
    const std::vector<double> norms = {3, 1e-4, std::sqrt(2.5)};
    const Comparison comparison = compare(outputs.at("plane_norms").values, norms, {relative_tolerance(DType::f32), 0});
    INFO(comparison.report());
    CHECK(comparison.ok());
    const double penalty = 2.0 * 2 / 3 * (norms[0] + norms[1]) + 1.0 / 3 * norms[2];
    CHECK(outputs.at("penalty").values[0] == Approx(penalty).epsilon(relative_tolerance(DType::f64)));
  });
}

TEST_CASE("the data gradient of a plane is the slope of the weight between two points of the grid") {
  // Straight through means: as if rounding were not there. Between planes that hold 0 and planes that hold 1 it is not.
  for_each_backend([](Backend& backend) {
    for (int bits = 1; bits <= 8; ++bits) {
      INFO(bits << " bits");
      const std::int64_t numel = 5;
      const cases::PlaneCase c = one_tensor(numel, bits);
      PlaneInputs inputs;
      inputs.planes.assign(static_cast<std::size_t>(2 * bits * numel), 1.0F);  // u = 0; clamped nowhere
      inputs.scales = {0.7F};
      inputs.d_weights = RandomTensors("slope").normal(numel, 0.0F, 0.05F);
      inputs.learning_rate = 0.25F;
      complete(backend, c, inputs);
      const std::vector<double> gradient = implied_gradient(
          inputs.planes, run_planes_step(backend, c, inputs).at("planes").values, inputs.learning_rate);
      const std::vector<double> at_one = run_weights_from_planes(backend, c, inputs).at("weights").values;
      std::vector<double> slope(gradient.size());
      for (std::size_t i = 0; i < slope.size(); ++i) {
        inputs.planes[i] = 0;
        const std::size_t element = i % static_cast<std::size_t>(numel);
        const double at_zero = run_weights_from_planes(backend, c, inputs).at("weights").values[element];
        slope[i] = (at_one[element] - at_zero) * inputs.d_weights[element];
        inputs.planes[i] = 1;
      }
      // The planes are near 1 and rounded to 6e-8, over a learning rate of 1/4.
      const Comparison comparison = compare(gradient, slope, {relative_tolerance(DType::f32), 2.4e-7});
      INFO(comparison.report());
      CHECK(comparison.ok());
    }
  });
}

namespace {

/// What nobody writes stays the poison it was, which is a NaN.
std::vector<std::uint64_t> bits_of(const std::vector<double>& values) {
  std::vector<std::uint64_t> bits;
  for (const double value : values) bits.push_back(std::bit_cast<std::uint64_t>(value));
  return bits;
}

}  // namespace

TEST_CASE("planes_step leaves, bit for bit, what weights_from_planes makes of the planes it has moved") {
  for_each_backend([](Backend& backend) {
    for (const cases::PlaneCase& c : cases::plane_cases()) {
      INFO("case " << c.name);
      PlaneInputs inputs = make_inputs(c);
      const Outputs stepped = run_planes_step_to_weights(backend, c, inputs);
      inputs.planes = to_floats(stepped.at("planes").values);
      inputs.scales = to_floats(stepped.at("scales").values);
      const Outputs anew = run_weights_from_planes(backend, c, inputs);
      for (const char* name : {"weights", "weight_units", "plane_norms"}) {
        INFO(name);
        CHECK(bits_of(stepped.at(name).values) == bits_of(anew.at(name).values));
      }
      CHECK(stepped.at("next_penalty").values == anew.at("penalty").values);
      // That of the planes before goes to the metrics, into the slot of the step and no other.
      CHECK(stepped.at("penalty").values == std::vector<double>{2.5, 0.625, 2.5});
      CHECK(stepped.at("counts").values == std::vector<double>{3, 4, 5, 3, 4, 5, 3, 4, 5});
    }
  });
}

TEST_CASE("the penalty's gradient is that of central differences of the penalty") {
  for_each_backend([](Backend& backend) {
    const float alpha = 0.5F;
    const cases::PlaneCase c{"penalty", 0, {7, 3}, {3, 2}, 1, alpha, {0, 0}};
    PlaneInputs inputs;
    inputs.planes = RandomTensors("penalty").uniform(c.plane_arena_size(), 0.4F, 1.5F);
    inputs.scales = {0.7F, 0.3F};
    inputs.d_weights.assign(10, 0.0F);
    inputs.learning_rate = 0.25F;
    complete(backend, c, inputs);
    const std::vector<double> gradient =
        implied_gradient(inputs.planes, run_planes_step(backend, c, inputs).at("planes").values, inputs.learning_rate);
    std::vector<double> expected(gradient.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const float before = inputs.planes[i];
      const auto penalty_at = [&](float value) {
        inputs.planes[i] = value;
        return run_weights_from_planes(backend, c, inputs).at("penalty").values[0];
      };
      const float above = before + 0.01F;
      const float below = before - 0.01F;
      expected[i] = alpha * (penalty_at(above) - penalty_at(below)) / (double{above} - below);
      inputs.planes[i] = before;
    }
    // Truncation: step^2 / (6 norm^2) = 1e-5 of the gradient; a penalty summed in float32: 1e-6 / step = 1e-4.
    const Comparison comparison = compare_scaled(gradient, expected, 1e-3);
    INFO(comparison.report());
    CHECK(comparison.ok());
  });
}

TEST_CASE("the scale's gradient is that of central differences, in which q stands still") {
  for_each_backend([](Backend& backend) {
    const cases::PlaneCase c{"scales", 0, {33, 5, 100}, {4, 1, 8}, 16, 0, {0, 0}};
    PlaneInputs inputs = make_inputs(c);
    complete(backend, c, inputs);
    const Outputs stepped = run_planes_step(backend, c, inputs);
    const std::vector<double> gradient =
        implied_gradient(inputs.scales, stepped.at("scales").values, inputs.learning_rate);
    const std::vector<PlaneTensor> tensors = c.tensors();
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      const float before = inputs.scales[t];
      double expected = 0;
      for (const float sign : {1.0F, -1.0F}) {  // linear in s: the step may be large
        inputs.scales[t] = before + sign;
        const std::vector<double> weights = run_weights_from_planes(backend, c, inputs).at("weights").values;
        for (std::int64_t i = tensors[t].weight_offset; i < tensors[t].weight_offset + tensors[t].numel; ++i) {
          const auto at = static_cast<std::size_t>(i);
          expected += sign * weights[at] * inputs.d_weights[at] / 2;
        }
      }
      inputs.scales[t] = before;
      // The scale is rounded to 6e-8 over a learning rate of 0.1.
      CHECK(gradient[t] == Approx(expected).epsilon(1e-4).margin(2e-6));
    }
  });
}

TEST_CASE("planes are clamped to [0, 2] after the step, scales never, and the momentum remembers all of it") {
  for_each_backend([](Backend& backend) {
    const cases::PlaneCase c = one_tensor(2, 1);
    PlaneInputs inputs;
    inputs.planes = {1, 1, /* n */ 0, 0};
    inputs.scales = {1};
    inputs.d_weights = {8, -8};
    inputs.learning_rate = 1;
    complete(backend, c, inputs);
    Outputs outputs = run_planes_step(backend, c, inputs);
    CHECK(outputs.at("planes").values == std::vector<double>{0, 2, 2, 0});
    CHECK(outputs.at("momentum").values == std::vector<double>{8, -8, -8, 8});
    CHECK(outputs.at("scales").values[0] == 1);  // q = 1, 1: the gradients cancel

    inputs.d_weights = {8, 0};
    outputs = run_planes_step(backend, c, inputs);
    CHECK(outputs.at("scales").values[0] == -7);
  });
}

TEST_CASE("planes and scales follow PyTorch's SGD over several steps") {
  for_each_backend([](Backend& backend) {
    const SgdRule rule{0.9F, 0.01F};
    const cases::PlaneCase c = one_tensor(3, 1, 0.1F, rule);
    PlaneInputs inputs;
    inputs.planes = {1, 0.9F, 0.2F, /* n */ 0.3F, 0.6F, 1.1F};
    inputs.scales = {0.8F};
    inputs.d_weights = {0.3F, -0.2F, 0.1F};
    complete(backend, c, inputs);
    std::vector<double> x(inputs.planes.begin(), inputs.planes.end());
    std::vector<double> velocity(x.size(), 0.0);
    double scale = inputs.scales[0];
    double scale_velocity = 0;
    for (int step = 0; step < 3; ++step) {
      double square_sum = 1e-8;
      for (const double value : x) square_sum += value * value;
      double d_scale = 0;
      for (std::size_t i = 0; i < 3; ++i) {
        d_scale += std::nearbyint(std::clamp(x[i] - x[3 + i], -1.0, 1.0)) * inputs.d_weights[i];
      }
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double data_gradient = (i < 3 ? 1 : -1) * scale * inputs.d_weights[i % 3];
        const double penalty_gradient = double{c.alpha} * x[i] / std::sqrt(square_sum);  // numel n / P = 1
        velocity[i] = rule.momentum * velocity[i] + data_gradient + penalty_gradient + rule.weight_decay * x[i];
        x[i] = std::clamp(x[i] - inputs.learning_rate * velocity[i], 0.0, 2.0);
      }
      scale_velocity = rule.momentum * scale_velocity + d_scale + rule.weight_decay * scale;
      scale -= inputs.learning_rate * scale_velocity;

      const Outputs norms = run_weights_from_planes(backend, c, inputs);
      inputs.plane_norms = to_floats(norms.at("plane_norms").values);
      const Outputs stepped = run_planes_step(backend, c, inputs);
      inputs.planes = to_floats(stepped.at("planes").values);
      inputs.momentum = to_floats(stepped.at("momentum").values);
      inputs.scales = to_floats(stepped.at("scales").values);
      inputs.scale_momentum = to_floats(stepped.at("scale_momentum").values);
      INFO("step " << step);
      CHECK(compare_scaled(stepped.at("planes").values, x, relative_tolerance(DType::f32)).ok());
      CHECK(compare_scaled(stepped.at("momentum").values, velocity, relative_tolerance(DType::f32)).ok());
      CHECK(compare_scaled(stepped.at("scales").values, {scale}, relative_tolerance(DType::f32)).ok());
    }
  });
}

}  // namespace bsq::test
