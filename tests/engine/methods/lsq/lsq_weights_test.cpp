// Weights of LSQ against METHOD 13 written out in double; at rest, in files, from and to other forms.
#include "engine/methods/lsq/lsq_weights.h"

#include "engine/methods/packed_model.h"
#include "engine/methods/weight_forms.h"
#include "engine/model/bit_summary.h"
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
  int low = -high;

  double quotient(std::size_t i) const { return w[i].value / step.value; }
  bool is_inside(std::size_t i) const { return low <= quotient(i) && quotient(i) <= high; }
  double level(std::size_t i) const { return std::nearbyint(std::clamp(quotient(i), double(low), double(high))); }
  std::vector<double> weights() const {
    std::vector<double> result;
    for (std::size_t i = 0; i < w.size(); ++i) result.push_back(step.value * level(i));
    return result;
  }
  void move(const std::vector<float>& d_weights, const SgdRule& rule, double rate) {
    double d_step = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double d_weight = d_weights[i];
      d_step += (level(i) - (is_inside(i) ? quotient(i) : 0)) * d_weight;
    }
    for (std::size_t i = 0; i < w.size(); ++i) {
      w[i].step(is_inside(i) ? double{d_weights[i]} : 0, rule, rate);
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

std::vector<LsqTensorAtRest> lopsided(std::vector<LsqTensorAtRest> tensors) {
  for (LsqTensorAtRest& tensor : tensors) tensor.is_lopsided = true;
  return tensors;
}

/// The same, and the filter has a step per channel.
std::vector<LsqTensorAtRest> drawn_by_channel(const ArenaLayout& layout, const std::vector<int>& bits) {
  std::vector<LsqTensorAtRest> tensors = drawn(layout, bits);
  tensors[0].channel_steps = {0.3F, 0.1F, 0.2F, 0.5F, 0.05F};
  return tensors;
}

/// The layout of the tests, whose convolution only norms read.
ArenaLayout normed_layout() {
  ArenaLayout layout = store_layout();
  layout.slots[0].spec.is_normed = true;
  return layout;
}

}  // namespace

TEST_CASE("several steps of LSQ's weights are those of the formulas, and 0 bits stay zero") {
  const SgdRule rule = GENERATE(kLsqRule, kLsqNesterov);
  const bool is_lopsided = GENERATE(false, true);
  for_each_device([&](Backend& backend) {
    StoreMemory memory(backend);
    const std::vector<int> bits = {is_lopsided ? 1 : 2, 0, 7};
    const std::vector<LsqTensorAtRest> start =
        is_lopsided ? lopsided(drawn(memory.layout, bits)) : drawn(memory.layout, bits);
    std::vector<LsqOracle> oracles;
    for (const LsqTensorAtRest& tensor : start) {
      oracles.push_back({(1 << tensor.bits) - 1, {double{tensor.step}, 0}, {}});
      if (is_lopsided) oracles.back().low -= 1;
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

TEST_CASE("with a step per channel each channel moves as a tensor of its own, and all levels are worth the same") {
  for_each_device([&](Backend& backend) {
    StoreMemory memory(backend);
    const std::vector<LsqTensorAtRest> start = drawn_by_channel(memory.layout, {2, 3, 8});
    const LsqTensorAtRest& filter = start[0];
    const std::size_t length = filter.w.size() / 5;
    std::vector<LsqOracle> oracles;
    for (std::size_t channel = 0; channel < 5; ++channel) {
      oracles.push_back({3, {double{filter.channel_steps[channel]}, 0}, {}});
      for (std::size_t i = 0; i < length; ++i) oracles.back().w.push_back({double{filter.w[channel * length + i]}, 0});
    }
    LsqWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), StoredLsq(start));
    for (int step = 0; step < 4; ++step) {
      // The loss is one of k; what W = step k of the channel would get is the same by the rule of chains.
      const std::vector<float> of_levels = memory.draw_gradients(store, step, 0.1F)[0];
      store.step(kLsqRule, memory.set_inputs({.learning_rate = 0.05F}), nullptr);
      const LsqTensorAtRest after = lsq_of(download(backend, store.masters()))[0];
      CHECK(after.step == filter.step);
      std::vector<double> weights, steps, values;
      for (std::size_t channel = 0; channel < 5; ++channel) {
        LsqOracle& oracle = oracles[channel];
        std::vector<float> gradients;
        for (std::size_t i = 0; i < length; ++i)
          gradients.push_back(
              static_cast<float>(double{of_levels[channel * length + i]} * double{filter.step} / oracle.step.value));
        oracle.move(gradients, kLsqRule, double{0.05F});
        steps.push_back(oracle.step.value);
        for (std::size_t i = 0; i < length; ++i) {
          weights.push_back(oracle.w[i].value);
          values.push_back(double{filter.step} * oracle.level(i));
        }
      }
      check_close(after.w, weights, "w");
      check_close(after.channel_steps, steps, "steps");
      check_close(memory.values(store, 0), values, "weights");
    }
    CHECK(store.trainable_numbers() == 225 + 5 + 21 + 1 + 3 + 1);
  });
}

TEST_CASE("a bit that a filter with a step per channel loses doubles all of them, and what a level is worth") {
  for_each_device([&](Backend& backend) {
    StoreMemory memory(backend);
    const std::vector<LsqTensorAtRest> start = drawn_by_channel(memory.layout, {3, 3, 8});
    LsqWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), StoredLsq(start));
    store.set_bits({2, 3, 8});
    const Weights after = download(backend, store.masters());
    const LsqTensorAtRest filter = lsq_of(after)[0];
    CHECK(filter.step == 2 * start[0].step);
    for (std::size_t channel = 0; channel < 5; ++channel)
      CHECK(filter.channel_steps[channel] == 2 * start[0].channel_steps[channel]);
    CHECK(lsq_of(after)[1].step == start[1].step);
    CHECK(memory.values(store, 0) == after->values(0));
  });
}

TEST_CASE("steps per channel start from the weights of each, and from the unit of a grid") {
  const ArenaLayout layout = normed_layout();
  DenseTensors values;
  for (const LsqTensorAtRest& tensor : drawn(layout, {1, 1, 1})) values.push_back(tensor.w);
  std::fill_n(values[0].begin() + 45, 45, 0.0F);  // the second channel
  const Weights in_float = std::make_shared<StoredDense>(values);
  const auto from_float = lsq_of(StoredLsq::convert(in_float, layout, {2, 3, 8}, LsqSteps::per_channel));
  const std::vector<float>& steps = from_float[0].channel_steps;
  REQUIRE(steps.size() == 5);
  double sum = 0;
  for (const std::size_t channel : {0, 2, 3, 4}) {
    CHECK(steps[channel] == lsq_start_step(std::span(values[0]).subspan(channel * 45, 45), 2));
    sum += double{steps[channel]};
  }
  CHECK(from_float[0].step == static_cast<float>(sum / 4));
  CHECK(steps[1] == from_float[0].step);
  CHECK(from_float[1].channel_steps.empty());
  CHECK(from_float[2].channel_steps.empty());

  const Weights planes = StoredPlanes::convert(in_float, {4, 1, 8});
  const Weights from_planes = StoredLsq::convert(planes, layout, {}, LsqSteps::per_channel);
  CHECK(lsq_of(from_planes)[0].channel_steps == std::vector<float>(5, lsq_of(from_planes)[0].step));
  for (std::size_t slot = 0; slot < 3; ++slot) CHECK(from_planes->levels(slot)->k == planes->levels(slot)->k);

  const Weights trained = std::make_shared<StoredLsq>(drawn_by_channel(layout, {2, 3, 8}));
  CHECK(StoredLsq::convert(trained, layout, {}, LsqSteps::per_channel)->values(0) == trained->values(0));
  const Weights back = StoredLsq::convert(trained, layout, {}, LsqSteps::per_tensor);
  CHECK(lsq_of(back)[0].channel_steps.empty());
  CHECK(back->levels(0)->k == trained->levels(0)->k);
  CHECK(lsq_of(back)[1].w == lsq_of(trained)[1].w);
}

TEST_CASE("LSQ's step starts at twice the mean magnitude over the root of the largest level") {
  const auto start_step = [](const std::vector<float>& w, int bits) { return lsq_start_step(w, bits); };
  CHECK(start_step({1, -3, 0, 4}, 2) == static_cast<float>(4 / std::sqrt(3.0)));
  CHECK(start_step({1, -3, 0, 4}, 1) == 4);
  CHECK(start_step({0, 0}, 3) == 1.0F / 7);
  CHECK(start_step({1e-20F, 0}, 3) == kSmallestStep);
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
    for (const bool by_channel : {false, true}) {
      const std::vector<int> bits = {1, 3, 8};
      const StoredLsq stored(by_channel ? drawn_by_channel(memory.layout, bits) : drawn(memory.layout, bits));
      const StoredLsq with_lowest(lopsided(stored.all()));
      const LsqWeights another(memory.memory, memory.layout, memory.gradients.as<float>(), with_lowest);
      for (std::size_t slot = 0; slot < 3; ++slot) CHECK(memory.values(another, slot) == with_lowest.values(slot));
      const LsqWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), stored);
      for (std::size_t slot = 0; slot < 3; ++slot) CHECK(memory.values(store, slot) == stored.values(slot));
      CHECK(store.count()[1].ones == stored.count(1).ones);
    }
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

TEST_CASE("steps of channels go through a file, and only filters have them, one each") {
  const ArenaLayout layout = store_layout();
  const StoredLsq stored(drawn_by_channel(layout, {1, 3, 8}));
  TensorFile file;
  file.path = "x.safetensors";
  file.tensors = stored.tensors(layout);
  file.metadata["scheme"] = scheme_to_json(stored, layout);
  const Weights read = read_weights(file, layout, 8);
  for (std::size_t slot = 0; slot < 3; ++slot) CHECK(read->values(slot) == stored.values(slot));
  CHECK(lsq_of(read)[0].channel_steps == stored.all()[0].channel_steps);

  const std::string name = "layer1.0.conv1.lsq_weight_channel_steps";
  const auto refusal_of = [&](const std::string& named, std::vector<float> steps) {
    TensorFile changed = file;
    std::erase_if(changed.tensors, [&](const HostTensor& tensor) { return tensor.name == named; });
    changed.tensors.push_back(HostTensor::from<float>(named, {std::ssize(steps)}, steps));
    return error_of(ErrorKind::checkpoint, [&] { read_weights(changed, layout, 8); });
  };
  CHECK_THAT(refusal_of(name, {1, 1, 1, 1}), Catch::Contains(name));
  CHECK_THAT(refusal_of(name, {1, 1, 0, 1, 1}), Catch::Contains(name + " is 0"));
  CHECK_THAT(refusal_of("fc.lsq_weight_channel_steps", {1, 1, 1}), Catch::Contains("only filters of convolutions"));
}

TEST_CASE(
    "a level more below goes through conversions, files, packed files and lost bits, and no other form holds it") {
  ArenaLayout layout = store_layout();
  const auto oracle = make_reference_backend();
  const std::vector<int> bits = {1, 3, 7};
  std::vector<std::vector<float>> values;
  for (const LsqTensorAtRest& tensor : drawn(layout, bits)) values.push_back(tensor.w);
  const Weights weights = StoredLsq::convert(std::make_shared<StoredDense>(values), layout, bits, LsqSteps::per_tensor,
                                             LsqRange::asymmetric);
  for (std::size_t slot = 0; slot < 3; ++slot) {
    const Levels levels = *weights->levels(slot);
    CHECK(levels.low == -(1 << bits[slot]));
    CHECK(levels.high == (1 << bits[slot]) - 1);
    CHECK(weights->bits(slot) == bits[slot]);
    CHECK(scale_of(levels) == static_cast<float>(1 << bits[slot]) * lsq_of(weights)[slot].step);
  }
  CHECK(std::ranges::count(weights->levels(0)->k, -2) > 0);  // four levels of two bits
  CHECK(std::ranges::count(weights->levels(0)->k, 1) > 0);
  CHECK(summarize_bits(*weights, layout, 0).stored_bits == 225 * 2 + 21 * 4 + 3 * 8 + 3 * 32);

  TensorFile file;
  file.path = "x.safetensors";
  file.tensors = weights->tensors(layout);
  file.metadata = {{"scheme", scheme_to_json(*weights, layout)}, {"form", "lsq"}};
  const Weights read = read_weights(file, layout, 8);
  for (std::size_t slot = 0; slot < 3; ++slot) CHECK(read->levels(slot)->k == weights->levels(slot)->k);
  const TensorFile packed = pack(file, integer_weights(*weights, layout));
  CHECK(packed.at("layer1.0.conv1.weight").shape == std::vector<std::int64_t>{2, 29});
  CHECK_THAT(packed.metadata.at("quantized"), Catch::StartsWith("layer1.0.conv1.weight 5x5x3x3 1 low,"));
  const Weights unpacked = read_weights(unpack(packed), layout, 8);
  CHECK(unpacked->form() == "lsq");
  for (std::size_t slot = 0; slot < 3; ++slot) {
    CHECK(unpacked->values(slot) == weights->values(slot));
    CHECK(unpacked->levels(slot)->low == weights->levels(slot)->low);
  }

  for (HostTensor& tensor : file.tensors) {
    const float wrong = -3;
    if (tensor.name == "fc.lsq_weight_low") tensor = HostTensor::from<float>(tensor.name, {1}, std::span(&wrong, 1));
  }
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { read_weights(file, layout, 8); }),
             Catch::Contains("fc.lsq_weight_low is -3; the least level of 3 bits is -8"));
  CHECK_THAT(grid_conflict(*weights), Catch::Contains("levels -2 .. 1"));
  CHECK(width_conflict(*weights, layout).empty());
  CHECK_FALSE(symmetric_conflict(*weights, layout).empty());
  CHECK_THAT(error_of(ErrorKind::usage, [&] { convert_weights(kQuantizedForm, weights); }),
             Catch::Contains("bit planes cannot hold them"));

  StoreMemory memory(*oracle);
  LsqWeights store(memory.memory, memory.layout, memory.gradients.as<float>(),
                   dynamic_cast<const StoredLsq&>(*weights));
  store.set_bits({1, 2, 6});
  const Weights narrower = download(*oracle, store.masters());
  CHECK(narrower->levels(1)->low == -4);
  CHECK(narrower->values(0) == weights->values(0));
}

}  // namespace bsq::test
