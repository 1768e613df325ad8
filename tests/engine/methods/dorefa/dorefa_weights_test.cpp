// Weights of DoReFa: several steps against METHOD 19 in double; at rest, in files, from and to other forms; what odd
// levels cost.
#include "engine/methods/dorefa/dorefa_weights.h"

#include "engine/methods/packed_model.h"
#include "engine/model/bit_summary.h"
#include "tests/engine/methods/store_support.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {

constexpr SgdRule kDorefaRule{.momentum = 0.9F, .weight_decay = 0.02F};
constexpr SgdRule kDorefaNesterov{.momentum = 0.9F, .weight_decay = 0.02F, .nesterov = true};

/// One tensor in double.
struct DorefaOracle {
  double scale = 1;
  std::vector<SgdNumber> v;

  void move(const std::vector<float>& d_weights, const SgdRule& rule, double rate) {
    std::size_t peak = 0;
    std::vector<double> h;
    for (const SgdNumber& number : v) h.push_back(std::tanh(number.value));
    for (std::size_t i = 0; i < h.size(); ++i)
      if (std::abs(h[i]) > std::abs(h[peak])) peak = i;
    const double height = std::abs(h[peak]);
    double sum = 0;
    for (std::size_t i = 0; i < h.size(); ++i) sum += scale * d_weights[i] * h[i];
    for (std::size_t i = 0; i < h.size(); ++i) {
      double of_height = scale * d_weights[i] / height;
      if (i == peak) of_height -= (h[i] < 0 ? -sum : sum) / (height * height);
      v[i].step(of_height * (1 - h[i] * h[i]), rule, rate);
    }
  }
};

std::vector<DorefaTensorAtRest> dorefa_drawn(const ArenaLayout& layout, const std::vector<int>& bits) {
  std::vector<DorefaTensorAtRest> tensors;
  for (std::size_t slot = 0; slot < bits.size(); ++slot)
    tensors.push_back({.bits = bits[slot],
                       .scale = 0.75F,
                       .v = RandomTensors("v " + std::to_string(slot)).normal(numel_of(layout.slots[slot]), 0, 0.5F)});
  return tensors;
}

const std::vector<DorefaTensorAtRest>& dorefa_of(const Weights& weights) {
  return dynamic_cast<const StoredDorefa&>(*weights).all();
}

}  // namespace

TEST_CASE("several steps of DoReFa's weights are those of the formulas") {
  const SgdRule rule = GENERATE(kDorefaRule, kDorefaNesterov);
  for_each_device([&](Backend& backend) {
    StoreMemory memory(backend);
    const std::vector<DorefaTensorAtRest> start = dorefa_drawn(memory.layout, {2, 1, 8});
    std::vector<DorefaOracle> oracles;
    for (const DorefaTensorAtRest& tensor : start) {
      oracles.push_back({double{tensor.scale}, {}});
      for (const float v : tensor.v) oracles.back().v.push_back({double{v}, 0});
    }
    DorefaWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), StoredDorefa(start));
    for (int step = 0; step < 6; ++step) {
      const auto gradients = memory.draw_gradients(store, step, 0.1F);
      store.step(rule, memory.set_inputs({.learning_rate = 0.05F}), nullptr);
      const auto after = dorefa_of(download(backend, store.masters()));
      for (std::size_t slot = 0; slot < start.size(); ++slot) {
        INFO("step " << step << ", slot " << slot);
        oracles[slot].move(gradients[slot], rule, double{0.05F});
        std::vector<double> expected;
        for (const SgdNumber& v : oracles[slot].v) expected.push_back(v.value);
        check_close(after[slot].v, expected, "v");
        CHECK(after[slot].scale == start[slot].scale);
      }
    }
    CHECK(store.trainable_numbers() == 225 + 21 + 3);
  });
}

TEST_CASE("levels that a device reads of DoReFa's weights are those that their file means") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    const StoredDorefa stored(dorefa_drawn(memory.layout, {1, 3, 8}));
    const DorefaWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), stored);
    for (std::size_t slot = 0; slot < 3; ++slot) {
      const std::vector<float> values = memory.values(store, slot);
      const Levels levels = *stored.levels(slot);
      for (std::size_t i = 0; i < levels.k.size(); ++i) {
        CHECK(levels.k[i] % 2 != 0);
        CHECK(std::nearbyint(double{values[i]} / levels.unit[0]) == levels.k[i]);
      }
    }
    CHECK(store.count()[1].ones == stored.count(1).ones);
  });
}

TEST_CASE("DoReFa begins with float weights as they are, and with the largest as the scale") {
  const Weights in_float = as_weights(DenseTensors{{0.5F, -2, 1}, {0, 0}});
  const auto tensors = dorefa_of(StoredDorefa::convert(in_float, {3, 1}));
  CHECK(tensors[0].v == in_float->values(0));
  CHECK(tensors[0].scale == 2);
  CHECK(tensors[0].bits == 3);
  CHECK(tensors[1].scale == 1);
  CHECK(StoredDorefa(tensors).values(0)[1] == -2);
}

TEST_CASE("odd levels cost no sign: in sums of bits, in packed files, from every form that has them") {
  const ArenaLayout layout = store_layout();
  const Weights weights = std::make_shared<StoredDorefa>(dorefa_drawn(layout, {2, 1, 3}));
  const Weights planes = StoredPlanes::convert(weights, {});
  for (const Weights& form : {weights, planes, StoredFixedPoint::convert(weights, {})}) {
    const BitSummary summary = summarize_bits(*form, layout, 0);
    CHECK(summary.stored_bits == 225 * 2 + 21 * 1 + 3 * 3 + 3 * 32);
  }
  for_each_device([&](Backend& backend) {
    StoreMemory memory(backend);
    const auto store = store_of([&](const ArenaLayout&) { return planes; })(memory.memory, memory.layout, nullptr);
    CHECK(summarize_bits(store->count(), layout, 0).stored_bits == 225 * 2 + 21 * 1 + 3 * 3 + 3 * 32);
  });
  TensorFile model;
  model.tensors = planes->tensors(layout);
  model.metadata = {{"form", "planes"}};
  const TensorFile packed = pack(model, integer_weights(*planes, layout));
  CHECK(packed.metadata.at("quantized") == "layer1.0.conv1.weight 5x5x3x3 2 odd,fc.weight 3x7 1 odd,fc.bias 3 3 odd");
  CHECK(packed.at("fc.weight").shape == std::vector<std::int64_t>{1, 3});
  const Weights back = read_weights(unpack(packed), layout, kMaxBits);
  for (std::size_t slot = 0; slot < 3; ++slot) CHECK(back->levels(slot)->k == weights->levels(slot)->k);
  // One even level, and signs are there again.
  std::vector<BitPlanes> changed = planes_of(planes);
  std::vector<int> levels = planes->levels(1)->k;
  levels[4] = 0;
  changed[1] = planes_from_levels(symmetric_levels(1, 0.75F, levels));
  CHECK(summarize_bits(*as_weights(changed), layout, 0).stored_bits == 225 * 2 + 21 * 2 + 3 * 3 + 3 * 32);
}

TEST_CASE("a file of DoReFa's weights without widths, with none, or with a scale that is none is refused") {
  const ArenaLayout layout = store_layout();
  const StoredDorefa stored(dorefa_drawn(layout, {1, 3, 8}));
  TensorFile file;
  file.path = "x.safetensors";
  file.tensors = stored.tensors(layout);
  const auto refusal = [&] { return error_of(ErrorKind::checkpoint, [&] { read_weights(file, layout, 8); }); };
  CHECK_THAT(refusal(), Catch::Contains("without a scheme"));
  file.metadata["scheme"] = scheme_to_json(stored, layout);
  CHECK(read_weights(file, layout, 8)->form() == "dorefa");
  file.metadata["scheme"] = R"({"layer1.0.conv1": [0, 0], "fc": [3, 8]})";
  CHECK_THAT(refusal(), Catch::Contains("layer1.0.conv1.weight has 0 bits; the levels of DoReFa are odd"));
  file.metadata["scheme"] = scheme_to_json(stored, layout);
  for (const float bad : {0.0F, -0.5F, std::nanf(""), INFINITY}) {
    for (HostTensor& tensor : file.tensors)
      if (tensor.name == "fc.dorefa_weight_scale")
        tensor = HostTensor::from<float>(tensor.name, {1}, std::span(&bad, 1));
    CHECK_THAT(refusal(), Catch::Contains("fc.dorefa_weight_scale is") && Catch::Contains("above 0"));
  }
}

}  // namespace bsq::test
