// Weights of LSQ against METHOD 13 written out in double; at rest, in files, from and to other forms.
#include "engine/methods/lsq/lsq_weights.h"

#include "kernels/ops/lsq.h"
#include "tests/engine/methods/store_support.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {

constexpr SgdRule kLsqRule{.momentum = 0.9F, .weight_decay = 0.02F};
constexpr SgdRule kLsqNesterov{.momentum = 0.9F, .weight_decay = 0.02F, .nesterov = true};

/// One tensor in double.
struct LsqOracle {
  int high = 0;
  SgdNumber step;
  std::vector<SgdNumber> w;

  double quotient(std::size_t i) const { return w[i].value / step.value; }
  double level(std::size_t i) const { return std::nearbyint(std::clamp(quotient(i), -double(high), double(high))); }
  std::vector<double> weights() const {
    std::vector<double> result;
    for (std::size_t i = 0; i < w.size(); ++i) result.push_back(step.value * level(i));
    return result;
  }
  void move(const std::vector<float>& d_weights, const SgdRule& rule, double rate) {
    double d_step = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const bool inside = std::abs(quotient(i)) <= high;
      const double d_weight = d_weights[i];
      d_step += (level(i) - (inside ? quotient(i) : 0)) * d_weight;
    }
    for (std::size_t i = 0; i < w.size(); ++i) {
      const bool inside = std::abs(quotient(i)) <= high;
      w[i].step(inside ? double{d_weights[i]} : 0, rule, rate);
    }
    const SgdRule without_decay{.momentum = rule.momentum, .weight_decay = 0, .nesterov = rule.nesterov};
    step.step(d_step / std::sqrt(high * static_cast<double>(w.size())), without_decay, rate);
  }
};

const std::vector<LsqTensorAtRest>& lsq_of(const Weights& weights) {
  return dynamic_cast<const StoredLsq&>(*weights).all();
}

std::vector<LsqTensorAtRest> drawn(const ArenaLayout& layout, const std::vector<int>& bits) {
  std::vector<LsqTensorAtRest> tensors;
  for (std::size_t slot = 0; slot < bits.size(); ++slot) {
    const std::vector<float> w =
        RandomTensors("w " + std::to_string(slot)).normal(numel_of(layout.slots[slot]), 0, 0.5F);
    tensors.push_back({bits[slot], lsq_start_step(w, std::max(bits[slot], 1)), w});
  }
  return tensors;
}

}  // namespace

TEST_CASE("several steps of LSQ's weights are those of the formulas, and 0 bits stay zero") {
  const SgdRule rule = GENERATE(kLsqRule, kLsqNesterov);
  for_each_device([&](Backend& backend) {
    StoreMemory memory(backend);
    const std::vector<int> bits = {2, 0, 8};
    const std::vector<LsqTensorAtRest> start = drawn(memory.layout, bits);
    std::vector<LsqOracle> oracles;
    for (const LsqTensorAtRest& tensor : start) {
      oracles.push_back({(1 << tensor.bits) - 1, {double{tensor.step}, 0}, {}});
      for (const float w : tensor.w) oracles.back().w.push_back({double{w}, 0});
    }
    LsqWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), StoredLsq(start));
    for (int step = 0; step < 6; ++step) {
      const auto gradients = memory.draw_gradients(store, step, 0.1F);
      store.step(rule, memory.set_inputs({.learning_rate = 0.05F}), nullptr);
      const auto after = lsq_of(download(backend, store.masters()));
      for (std::size_t slot = 0; slot < bits.size(); ++slot) {
        INFO("step " << step << ", slot " << slot);
        if (bits[slot] == 0) {
          CHECK(after[slot].w == start[slot].w);
          CHECK(memory.values(store, slot) == std::vector<float>(start[slot].w.size()));
          continue;
        }
        oracles[slot].move(gradients[slot], rule, double{0.05F});
        std::vector<double> expected;
        for (const SgdNumber& w : oracles[slot].w) expected.push_back(w.value);
        check_close(after[slot].w, expected, "w");
        check_close({after[slot].step}, {oracles[slot].step.value}, "step");
        check_close(memory.values(store, slot), oracles[slot].weights(), "weights");
      }
    }
    CHECK(store.trainable_numbers() == 225 + 1 + 3 + 1);
  });
}

TEST_CASE("LSQ's step starts at twice the mean magnitude over the root of the largest level") {
  CHECK(lsq_start_step({1, -3, 0, 4}, 2) == static_cast<float>(4 / std::sqrt(3.0)));
  CHECK(lsq_start_step({1, -3, 0, 4}, 1) == 4);
  CHECK(lsq_start_step({0, 0}, 3) == 1.0F / 7);
  CHECK(lsq_start_step({1e-20F, 0}, 3) == kSmallestStep);
}

TEST_CASE("LSQ takes weights on a grid as they are, and gives float weights the widths asked for") {
  const ArenaLayout layout = store_layout();
  DenseTensors drawn_values;
  for (const LsqTensorAtRest& tensor : drawn(layout, {1, 1, 1})) drawn_values.push_back(tensor.w);
  const Weights in_float = std::make_shared<StoredDense>(drawn_values);
  const auto from_float = lsq_of(StoredLsq::convert(in_float, {3, 1, 8}));
  for (std::size_t slot = 0; slot < 3; ++slot) {
    CHECK(from_float[slot].bits == std::vector<int>{3, 1, 8}[slot]);
    CHECK(from_float[slot].w == in_float->values(slot));
    CHECK(from_float[slot].step == lsq_start_step(in_float->values(slot), from_float[slot].bits));
  }
  const Weights planes = StoredPlanes::convert(in_float, {4, 1, 8});
  const Weights from_planes = StoredLsq::convert(planes, {});
  for (std::size_t slot = 0; slot < 3; ++slot) {
    CHECK(from_planes->bits(slot) == planes->bits(slot));
    CHECK(from_planes->levels(slot)->k == planes->levels(slot)->k);
    check_close(from_planes->values(slot), to_doubles(planes->values(slot)), "slot " + std::to_string(slot));
  }
  const TensorCounts counts = from_planes->count(0);
  CHECK(counts.ones == planes->count(0).ones);
  CHECK(counts.zeros == planes->count(0).zeros);
}

TEST_CASE("no level of a grid that LSQ takes over lies outside of it") {
  RandomTensors random("scales");
  for (const float scale : random.uniform(300, 0.01F, 2.0F))
    for (int bits = 1; bits <= 8; ++bits) {
      const int high = (1 << bits) - 1;
      const Weights planes =
          as_weights(std::vector<BitPlanes>{planes_from_levels(symmetric_levels(bits, scale, {high, -high, 0}))});
      const LsqTensorAtRest tensor = lsq_of(StoredLsq::convert(planes, std::vector<int>{}))[0];
      for (const float w : tensor.w) CHECK(std::abs(w / tensor.step) <= static_cast<float>(high));
      CHECK(lsq_levels(tensor) == std::vector<int>{high, -high, 0});
    }
}

TEST_CASE("what a device reads of LSQ's weights is what their file means, bit for bit") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    const StoredLsq stored(drawn(memory.layout, {1, 3, 8}));
    const LsqWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), stored);
    for (std::size_t slot = 0; slot < 3; ++slot) CHECK(memory.values(store, slot) == stored.values(slot));
    CHECK(store.count()[1].ones == stored.count(1).ones);
  });
}

TEST_CASE("a file of LSQ's weights without widths, or with a step that no training leaves, is refused") {
  const ArenaLayout layout = store_layout();
  const StoredLsq stored(drawn(layout, {1, 3, 8}));
  TensorFile file;
  file.path = "x.safetensors";
  file.tensors = stored.tensors(layout);
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { read_weights(file, layout, 8); }),
             Catch::Contains("without a scheme"));
  file.metadata["scheme"] = scheme_to_json(stored, layout);
  CHECK(read_weights(file, layout, 8)->form() == "lsq");
  for (const float bad : {0.0F, -0.5F, std::nanf(""), INFINITY}) {
    for (HostTensor& tensor : file.tensors)
      if (tensor.name == "fc.lsq_weight_step") tensor = HostTensor::from<float>(tensor.name, {1}, std::span(&bad, 1));
    CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { read_weights(file, layout, 8); }),
               Catch::Contains("fc.lsq_weight_step is") && Catch::Contains("at least 1e-08"));
  }
}

}  // namespace bsq::test
