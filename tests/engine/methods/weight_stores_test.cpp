// The three weight stores on every backend against METHOD 1, 2, 3 and 5 written out in double: effective weights, the
// penalty, and several steps with momentum and weight decay, into the clamps.
#include "tests/engine/methods/store_support.h"

namespace bsq::test {
namespace {

constexpr SgdRule kRule{.momentum = 0.9F, .weight_decay = 0.02F};
constexpr SgdRule kNesterov{.momentum = 0.9F, .weight_decay = 0.02F, .nesterov = true};
constexpr double kPlaneNormEpsilon = 1e-8;

/// One tensor of bit planes in double.
class PlaneOracle {
 public:
  PlaneOracle(const BitPlanes& planes, std::int64_t all_parameters)
      : bits_(planes.bits), numel_(planes.numel), scale_{double{planes.scale}, 0} {
    for (const float value : planes.p) p_.push_back({double{value}, 0});
    for (const float value : planes.n) n_.push_back({double{value}, 0});
    penalty_weight_ = static_cast<double>(numel_ * bits_) / static_cast<double>(all_parameters);
  }

  std::vector<double> weights() const {
    std::vector<double> result;
    for (std::int64_t i = 0; i < numel_; ++i) result.push_back(scale_.value * quantized_value(sum(i), bits_));
    return result;
  }
  double norm(int bit) const {
    double squares = kPlaneNormEpsilon;
    for (std::int64_t i = 0; i < numel_; ++i)
      squares += std::pow(p_[at(bit, i)].value, 2) + std::pow(n_[at(bit, i)].value, 2);
    return std::sqrt(squares);
  }
  double penalty() const {
    double total = 0;
    for (int bit = 0; bit < bits_; ++bit) total += penalty_weight_ * norm(bit);
    return total;
  }
  void step(const std::vector<float>& d_weights, double alpha, const SgdRule& rule, double learning_rate) {
    std::vector<double> norms;
    for (int bit = 0; bit < bits_; ++bit) norms.push_back(norm(bit));
    const double scale = scale_.value;
    double d_scale = 0;
    for (std::int64_t i = 0; i < numel_; ++i) {
      const double d_weight = d_weights[static_cast<std::size_t>(i)];
      d_scale += quantized_value(sum(i), bits_) * d_weight;
    }
    for (std::int64_t i = 0; i < numel_; ++i) {
      const double du = scale * double{d_weights[static_cast<std::size_t>(i)]};
      for (int bit = 0; bit < bits_; ++bit) {
        const double pull = alpha * penalty_weight_ / norms[static_cast<std::size_t>(bit)];
        SgdNumber& p = p_[at(bit, i)];
        SgdNumber& n = n_[at(bit, i)];
        p.step(coefficient(bit) * du + pull * p.value, rule, learning_rate);
        n.step(-coefficient(bit) * du + pull * n.value, rule, learning_rate);
        for (SgdNumber* number : {&p, &n}) number->value = std::min(std::max(number->value, 0.0), 2.0);
      }
    }
    scale_.step(d_scale, rule, learning_rate);
  }

  std::vector<double> p() const { return values(p_); }
  std::vector<double> n() const { return values(n_); }
  double scale() const { return scale_.value; }

 private:
  static std::vector<double> values(const std::vector<SgdNumber>& numbers) {
    std::vector<double> result;
    for (const SgdNumber& number : numbers) result.push_back(number.value);
    return result;
  }
  std::size_t at(int bit, std::int64_t i) const { return static_cast<std::size_t>(bit * numel_ + i); }
  double coefficient(int bit) const { return std::pow(2.0, bits_ - 1 - bit) / levels_of(bits_); }
  double sum(std::int64_t i) const {
    double u = 0;
    for (int bit = 0; bit < bits_; ++bit) u += coefficient(bit) * (p_[at(bit, i)].value - n_[at(bit, i)].value);
    return u;
  }

  int bits_;
  std::int64_t numel_;
  double penalty_weight_ = 0;
  SgdNumber scale_;
  std::vector<SgdNumber> p_, n_;
};

std::vector<BitPlanes> planes_for(const ArenaLayout& layout, const std::vector<int>& bits) {
  std::vector<BitPlanes> planes;
  for (std::size_t i = 0; i < bits.size(); ++i)
    planes.push_back(trained_planes("planes of slot " + std::to_string(i), bits[i], numel_of(layout.slots[i]),
                                    0.5F + 0.25F * static_cast<float>(i)));
  return planes;
}

}  // namespace

TEST_CASE("dense weights step as PyTorch's SGD does") {
  const SgdRule rule = GENERATE(kRule, kNesterov);
  for_each_device([&](Backend& backend) {
    StoreMemory store_memory(backend);
    DenseWeights store(store_memory.memory, store_memory.layout, store_memory.gradients.as<float>(), "weights");
    std::vector<std::vector<SgdNumber>> oracle;
    for (const ParameterSlot& slot : store_memory.layout.slots) {
      const std::vector<float> start = RandomTensors(slot.spec.name).normal(numel_of(slot), 0, 0.3F);
      store.set(slot, start);
      oracle.emplace_back();
      for (const float value : start) oracle.back().push_back({double{value}, 0});
    }
    for (int step = 0; step < 6; ++step) {
      const float rate = step < 3 ? 0.1F : 0.01F;
      const auto gradients = store_memory.draw_gradients(store, step, 0.5F);
      store.step(rule, store_memory.set_inputs({.learning_rate = rate}), nullptr);
      for (std::size_t slot = 0; slot < oracle.size(); ++slot) {
        std::vector<double> expected;
        for (std::size_t i = 0; i < oracle[slot].size(); ++i) {
          oracle[slot][i].step(double{gradients[slot][i]}, rule, double{rate});
          expected.push_back(oracle[slot][i].value);
        }
        check_close(store_memory.values(store, slot), expected, "step " + std::to_string(step));
      }
    }
  });
}

TEST_CASE("effective weights and penalty of bit planes are those of the formulas, at every width") {
  for_each_device([](Backend& backend) {
    for (int bits = 1; bits <= 8; ++bits) {
      StoreMemory store_memory(backend);
      const auto planes = planes_for(store_memory.layout, {bits, 9 - bits, 1 + bits % 3});
      PlaneWeights store(store_memory.memory, store_memory.layout, store_memory.gradients.as<float>(),
                         StoredPlanes(planes));
      double penalty = 0;
      for (std::size_t slot = 0; slot < planes.size(); ++slot) {
        const PlaneOracle oracle(planes[slot], 225 + 21 + 3);
        check_close(store_memory.values(store, slot), oracle.weights(), std::to_string(bits) + " bits");
        penalty += oracle.penalty();
      }
      store.step(kRule, store_memory.set_inputs({.metrics_slot = 2}), store_memory.metrics.as<StepMetrics>());
      const std::vector<StepMetrics> metrics = store_memory.read_metrics();
      CHECK(metrics[2].penalty == Approx(penalty).epsilon(1e-6));
      CHECK(metrics[1].penalty == 0);
      CHECK(metrics[3].penalty == 0);
    }
  });
}

TEST_CASE("several steps of bit planes are those of the formulas, into both clamps") {
  const SgdRule rule = GENERATE(kRule, kNesterov);
  for_each_device([&](Backend& backend) {
    constexpr float kAlpha = 0.3F;
    StoreMemory store_memory(backend);
    const auto planes = planes_for(store_memory.layout, {4, 8, 1});
    PlaneWeights store(store_memory.memory, store_memory.layout, store_memory.gradients.as<float>(),
                       StoredPlanes(planes));
    std::vector<PlaneOracle> oracle;
    for (const BitPlanes& tensor : planes) oracle.emplace_back(tensor, 225 + 21 + 3);
    for (int step = 0; step < 8; ++step) {
      const float rate = step < 5 ? 0.3F : 0.1F;
      const StepInputs* inputs = store_memory.set_inputs({.learning_rate = rate, .method = {kAlpha}});
      const auto gradients = store_memory.draw_gradients(store, step, 0.5F);
      store.step(rule, inputs, nullptr);
      const std::vector<BitPlanes> after = store.planes();
      for (std::size_t slot = 0; slot < oracle.size(); ++slot) {
        oracle[slot].step(gradients[slot], double{kAlpha}, rule, double{rate});
        const std::string what = "step " + std::to_string(step) + ", slot " + std::to_string(slot);
        check_close(after[slot].p, oracle[slot].p(), what + ", p");
        check_close(after[slot].n, oracle[slot].n(), what + ", n");
        check_close({after[slot].scale}, {oracle[slot].scale()}, what + ", scale");
      }
    }
    const std::vector<float> p = store.planes()[0].p;
    CHECK(std::count(p.begin(), p.end(), 0.0F) > 10);
    CHECK(std::count(p.begin(), p.end(), 2.0F) > 10);
  });
}

TEST_CASE("the scale of bit planes is not clamped") {
  for_each_device([](Backend& backend) {
    StoreMemory store_memory(backend);
    std::vector<BitPlanes> planes = planes_for(store_memory.layout, {3, 3, 3});
    planes[0].scale = 50;
    planes[1].scale = 0.001F;
    PlaneWeights store(store_memory.memory, store_memory.layout, store_memory.gradients.as<float>(),
                       StoredPlanes(planes));
    const StepInputs* inputs = store_memory.set_inputs({.learning_rate = 0.1F});
    store_memory.draw_gradients(store, 0, 1.0F);
    store.step({.momentum = 0, .weight_decay = 0}, inputs, nullptr);
    CHECK(store.planes()[0].scale > 40);
    PlaneOracle oracle(planes[1], 249);
    CHECK(store.planes()[1].scale != planes[1].scale);
  });
}

TEST_CASE("several steps of fixed-point weights are those of the formulas, and 0 bits stay zero") {
  const SgdRule rule = GENERATE(kRule, kNesterov);
  for_each_device([&](Backend& backend) {
    StoreMemory store_memory(backend);
    const std::vector<int> bits = {3, 0, 8};
    std::vector<FixedPoint> start;
    std::vector<std::vector<SgdNumber>> u;
    std::vector<SgdNumber> scales;
    for (std::size_t slot = 0; slot < bits.size(); ++slot) {
      const auto numel = numel_of(store_memory.layout.slots[slot]);
      RandomTensors random("u " + std::to_string(slot));
      start.push_back(
          {bits[slot], 0.7F,
           bits[slot] == 0 ? std::vector<float>(static_cast<std::size_t>(numel)) : random.uniform(numel, -1, 1)});
      u.emplace_back();
      for (const float value : start.back().u) u.back().push_back({double{value}, 0});
      scales.push_back({double{0.7F}, 0});
    }
    FixedPointWeights store(store_memory.memory, store_memory.layout, store_memory.gradients.as<float>(),
                            StoredFixedPoint(start));
    for (int step = 0; step < 8; ++step) {
      const float rate = step < 5 ? 0.3F : 0.1F;
      const auto gradients = store_memory.draw_gradients(store, step, 0.5F);
      for (std::size_t slot = 0; slot < bits.size(); ++slot) {
        std::vector<double> expected;
        for (const SgdNumber& number : u[slot])
          expected.push_back(bits[slot] == 0 ? 0 : scales[slot].value * quantized_value(number.value, bits[slot]));
        check_close(store_memory.values(store, slot), expected, "weights of slot " + std::to_string(slot));
      }
      store.step(rule, store_memory.set_inputs({.learning_rate = rate}), nullptr);
      const auto after = fixed_of(download(backend, store.masters()));
      for (std::size_t slot = 0; slot < bits.size(); ++slot) {
        if (bits[slot] == 0) {
          CHECK(after[slot].u == start[slot].u);
          CHECK(after[slot].scale == start[slot].scale);
          continue;
        }
        double d_scale = 0;
        std::vector<double> expected;
        const double scale = scales[slot].value;
        for (std::size_t i = 0; i < u[slot].size(); ++i) {
          const double d_weight = gradients[slot][i];
          d_scale += quantized_value(u[slot][i].value, bits[slot]) * d_weight;
          u[slot][i].step(scale * d_weight, rule, double{rate});
          u[slot][i].value = std::min(std::max(u[slot][i].value, -1.0), 1.0);
          expected.push_back(u[slot][i].value);
        }
        scales[slot].step(d_scale, rule, double{rate});
        if (scales[slot].value < 0)  // files have the same weights with the other signs
          for (double& value : expected) value = -value;
        check_close(after[slot].u, expected, "u of slot " + std::to_string(slot));
        check_close({after[slot].scale}, {std::abs(scales[slot].value)}, "scale of slot " + std::to_string(slot));
      }
    }
    CHECK(scales[0].value < 0);
    const std::vector<float> moved = fixed_of(download(backend, store.masters()))[0].u;
    CHECK(std::count(moved.begin(), moved.end(), 1.0F) > 5);
    CHECK(std::count(moved.begin(), moved.end(), -1.0F) > 5);
  });
}

TEST_CASE("a reset momentum makes the next step a first step") {
  for_each_device([](Backend& backend) {
    const auto one_more_step = [&](bool with_history) {
      StoreMemory store_memory(backend);
      const auto planes = planes_for(store_memory.layout, {4, 2, 3});
      PlaneWeights store(store_memory.memory, store_memory.layout, store_memory.gradients.as<float>(),
                         StoredPlanes(planes));
      const StepInputs* inputs = store_memory.set_inputs({.learning_rate = 0.1F});
      if (with_history) {
        store_memory.draw_gradients(store, 0, 0.5F);
        store.step(kRule, inputs, nullptr);
        store.set_planes(planes);  // resets the momentum as well
      }
      store_memory.draw_gradients(store, 1, 0.5F);
      store.step(kRule, inputs, nullptr);
      return store_memory.saved(store);
    };
    CHECK(different_tensors(one_more_step(true), one_more_step(false)).empty());
  });
}

TEST_CASE("trainable numbers: one a float weight, two a bit and one a scale, none of 0 bits") {
  const auto oracle = make_reference_backend();
  StoreMemory store_memory(*oracle);
  const float* gradients = store_memory.gradients.as<float>();
  CHECK(DenseWeights(store_memory.memory, store_memory.layout, gradients, "").trainable_numbers() == 249);
  const auto planes = planes_for(store_memory.layout, {4, 2, 3});
  CHECK(PlaneWeights(store_memory.memory, store_memory.layout, gradients, StoredPlanes(planes)).trainable_numbers() ==
        2 * (4 * 225 + 2 * 21 + 3 * 3) + 3);
  std::vector<FixedPoint> fixed = to_fixed(planes);
  fixed[1].bits = 0;
  CHECK(FixedPointWeights(store_memory.memory, store_memory.layout, gradients, StoredFixedPoint(fixed))
            .trainable_numbers() == 226 + 4);
}

}  // namespace bsq::test
