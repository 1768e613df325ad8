// Weights of MSQ: several steps against METHOD 20 in double; at rest, in files, from other forms; what becomes of them
// when a bit goes.
#include "engine/methods/msq/msq_weights.h"

#include "engine/methods/packed_model.h"
#include "engine/model/bit_summary.h"
#include "tests/engine/methods/store_support.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {

/// One tensor in double, whose levels are found in float32.
struct MsqOracle {
  int bits = 1;
  SgdNumber scale;
  std::vector<SgdNumber> u;

  static double level(double value, int width) {
    const double most = std::ldexp(1.0, width) - 1;
    return std::clamp(std::nearbyint(std::ldexp(static_cast<double>(static_cast<float>(value)), width)), -most, most);
  }
  void move(const std::vector<float>& d_weights, const SgdRule& rule, double rate, double strength) {
    const double before = scale.value;
    double d_scale = 0;
    for (std::size_t i = 0; i < u.size(); ++i) {
      const double k = level(u[i].value, bits);
      const double last_bit = k - 2 * level(u[i].value, bits - 1);
      const double pull = bits == 1 || last_bit == 0 ? 0 : std::copysign(strength * std::ldexp(1.0, -bits), last_bit);
      d_scale += std::ldexp(k, -bits) * d_weights[i];
      u[i].step(before * d_weights[i] + pull, rule, rate);
      u[i].value = std::clamp(u[i].value, -1.0, 1.0);
    }
    scale.step(d_scale, rule, rate);
  }
};

std::vector<MsqTensorAtRest> msq_drawn(const ArenaLayout& layout, const std::vector<int>& bits) {
  std::vector<MsqTensorAtRest> tensors;
  for (std::size_t slot = 0; slot < bits.size(); ++slot)
    tensors.push_back(
        {.bits = bits[slot],
         .scale = 0.75F,
         .u = RandomTensors("u " + std::to_string(slot)).uniform(numel_of(layout.slots[slot]), -1.0F, 1.0F)});
  return tensors;
}

std::vector<MsqTensorAtRest> msq_of(const Weights& weights) {
  return dynamic_cast<const StoredMsq&>(*weights).all();
}

}  // namespace

TEST_CASE("several steps of MSQ's weights are those of the formulas") {
  const SgdRule rule = GENERATE(SgdRule{.momentum = 0.9F, .weight_decay = 0.02F},
                                SgdRule{.momentum = 0.9F, .weight_decay = 0.02F, .nesterov = true});
  constexpr float kStrength = 0.5F;
  for_each_device([&](Backend& backend) {
    StoreMemory memory(backend);
    const std::vector<MsqTensorAtRest> start = msq_drawn(memory.layout, {3, 2, 8});
    std::vector<MsqOracle> oracles;
    for (const MsqTensorAtRest& tensor : start) {
      oracles.push_back({tensor.bits, {double{tensor.scale}, 0}, {}});
      for (const float u : tensor.u) oracles.back().u.push_back({double{u}, 0});
    }
    MsqWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), StoredMsq(start));
    for (int step = 0; step < 6; ++step) {
      const auto gradients = memory.draw_gradients(store, step, 0.1F);
      store.step(rule, memory.set_inputs({.learning_rate = 0.05F, .method = {kStrength}}), nullptr);
      const auto after = msq_of(download(backend, store.masters()));
      for (std::size_t slot = 0; slot < start.size(); ++slot) {
        INFO("step " << step << ", slot " << slot);
        oracles[slot].move(gradients[slot], rule, double{0.05F}, double{kStrength});
        std::vector<double> expected;
        for (const SgdNumber& u : oracles[slot].u) expected.push_back(u.value);
        check_close(after[slot].u, expected, "u");
        CHECK(after[slot].scale == Approx(oracles[slot].scale.value).epsilon(1e-5));
      }
    }
    CHECK(store.trainable_numbers() == 225 + 21 + 3 + 3);
  });
}

TEST_CASE("a tensor of a fixed width has no penalty, nor one that can lose no bit") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    memory.layout.slots[0].spec.widths = {.start = 4, .most = 4, .fixed = true};
    const std::vector<MsqTensorAtRest> start = msq_drawn(memory.layout, {4, 4, 1});
    MsqWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), StoredMsq(start));
    backend.fill_zero(memory.gradients.data(), memory.gradients.size_bytes());
    store.step({.momentum = 0, .weight_decay = 0}, memory.set_inputs({.learning_rate = 1, .method = {1}}), nullptr);
    const auto after = msq_of(download(backend, store.masters()));
    CHECK(after[0].u == start[0].u);
    CHECK(after[1].u != start[1].u);
    CHECK(after[2].u == start[2].u);
  });
}

TEST_CASE("levels that a device reads of MSQ's weights are those that their file means, which also has its last bits") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    const StoredMsq stored(msq_drawn(memory.layout, {2, 3, 8}));
    const MsqWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), stored);
    const std::vector<std::vector<float>> shares = store.last_bits();
    for (std::size_t slot = 0; slot < 3; ++slot) {
      const std::vector<float> values = memory.values(store, slot);
      const Levels levels = *stored.levels(slot);
      int set = 0;
      for (std::size_t i = 0; i < levels.k.size(); ++i) {
        CHECK(std::nearbyint(double{values[i]} / levels.unit[0]) == levels.k[i]);
        if (levels.k[i] % 2 != 0) ++set;
      }
      REQUIRE(shares[slot].size() == static_cast<std::size_t>(1 + stored.bits(slot)));
      CHECK(static_cast<int>(std::lround(double{shares[slot].back()} * static_cast<double>(levels.k.size()))) == set);
    }
  });
}

TEST_CASE("a tensor of MSQ that loses a bit keeps u and scale, and its levels are those of the coarser grid") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    const std::vector<MsqTensorAtRest> start = msq_drawn(memory.layout, {8, 3, 2});
    MsqWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), StoredMsq(start));
    store.set_bits({7, 3, 2});
    CHECK(store.bits() == std::vector<int>{7, 3, 2});
    const auto after = msq_of(download(backend, store.masters()));
    CHECK(after[0].u == start[0].u);
    CHECK(after[0].scale == start[0].scale);
    const std::vector<float> values = memory.values(store, 0);
    const std::vector<int> levels = msq_levels(after[0]);
    for (std::size_t i = 0; i < levels.size(); ++i) CHECK(std::nearbyint(double{values[i]} / 0.75 * 128) == levels[i]);
    CHECK_THROWS(store.set_bits({8, 3, 2}));
    CHECK_THROWS(store.set_bits({7, 3, 0}));
  });
}

TEST_CASE("without its last bit a tensor of MSQ whose levels are even has the same weights") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    std::vector<MsqTensorAtRest> start = msq_drawn(memory.layout, {8, 3, 2});
    for (std::size_t i = 0; i < start[0].u.size(); ++i) start[0].u[i] = static_cast<float>(i % 127) / 127 - 0.5F;
    for (float& u : start[0].u) u = std::nearbyint(u * 64) / 128;
    MsqWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), StoredMsq(start));
    CHECK(store.last_bits()[0].back() == 0);
    const std::vector<float> before = memory.values(store, 0);
    store.set_bits({7, 3, 2});
    CHECK(memory.values(store, 0) == before);
  });
}

TEST_CASE("MSQ begins with the largest weight as the scale, and takes levels of other grids over") {
  const Weights in_float = as_weights(DenseTensors{{0.5F, -2, 1}, {0, 0}});
  const auto tensors = msq_of(StoredMsq::convert(in_float, {3, 2}));
  CHECK(tensors[0].u == std::vector<float>{0.25F, -1, 0.5F});
  CHECK(tensors[0].scale == 2);
  CHECK(tensors[0].bits == 3);
  CHECK(tensors[1].scale == 1);
  CHECK(StoredMsq(tensors).values(0) == std::vector<float>{0.5F, -1.75F, 1});

  ArenaLayout layout = store_layout();
  const Weights planes = StoredPlanes::convert(initial_weights(layout, 1), {4, 1, 0});
  const Weights taken = StoredMsq::convert(planes, {});
  for (std::size_t slot = 0; slot < 3; ++slot) {
    CHECK(taken->bits(slot) == planes->levels(slot)->bits);
    CHECK(taken->levels(slot)->k == planes->levels(slot)->k);
    check_close(taken->values(slot), to_doubles(planes->values(slot)), "values");
  }
  layout.slots[2].spec.widths = {.start = 5, .most = 5, .fixed = true};
  CHECK(StoredMsq::convert(planes, layout, {})->bits(2) == std::max(planes->bits(2), 5));
}

TEST_CASE("a file of MSQ's weights without widths, or with a scale that is none is refused") {
  const ArenaLayout layout = store_layout();
  const StoredMsq stored(msq_drawn(layout, {2, 3, 8}));
  TensorFile file;
  file.path = "x.safetensors";
  file.tensors = stored.tensors(layout);
  const auto refusal = [&] { return error_of(ErrorKind::checkpoint, [&] { read_weights(file, layout, 8); }); };
  CHECK_THAT(refusal(), Catch::Contains("without a scheme"));
  file.metadata["scheme"] = scheme_to_json(stored, layout);
  CHECK(read_weights(file, layout, 8)->form() == "msq");
  for (const float bad : {0.0F, -0.5F, std::nanf(""), INFINITY}) {
    for (HostTensor& tensor : file.tensors)
      if (tensor.name == "fc.msq_weight_scale") tensor = HostTensor::from<float>(tensor.name, {1}, std::span(&bad, 1));
    CHECK_THAT(refusal(), Catch::Contains("fc.msq_weight_scale is") && Catch::Contains("above 0"));
  }
}

}  // namespace bsq::test
