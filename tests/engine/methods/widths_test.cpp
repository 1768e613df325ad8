// Slots with widths of their own: conversion, penalty, re-quantization and finetuning keep to them.
#include "engine/methods/methods.h"

#include "tests/engine/methods/store_support.h"
#include "tests/support/config.h"
#include "tests/support/files.h"
#include "tests/support/random_tensors.h"
#include "tests/support/weights.h"

#include <cmath>

namespace bsq::test {
namespace {

/// fc.weight is fixed at 6 bits; the convolution may have 3 at most, and starts with 2.
struct RuledMemory : StoreMemory {
  explicit RuledMemory(Backend& device) : StoreMemory(device) {
    layout.slots[0].spec.widths = {.start = 2, .most = 3};
    layout.slots[1].spec.widths = {.start = 6, .fixed = true};
  }
};

DenseTensors drawn_weights(const ArenaLayout& layout) {
  RandomTensors random("weights");
  DenseTensors weights;
  for (const ParameterSlot& slot : layout.slots) weights.push_back(random.normal(numel_of(slot), 0, 0.1F));
  return weights;
}

std::vector<int> bits_of(const WeightStore& store) {
  std::vector<int> bits;
  for (const TensorCounts& counts : store.count()) bits.push_back(counts.bits);
  return bits;
}

Config config_with(int weight_bits, int max_bits) {
  Config config = default_config();
  config.quant.weight_bits = weight_bits;
  config.quant.max_bits = max_bits;
  return config;
}

}  // namespace

TEST_CASE("a conversion gives each slot its own width, or that of the configuration") {
  for_each_device([](Backend& backend) {
    RuledMemory memory(backend);
    const Weights start = as_weights(drawn_weights(memory.layout));
    for (const char* stage : {"convert", "bsq"}) {
      INFO(stage);
      CHECK(bits_of(*store_of_stage(memory, config_with(5, 8), stage, start)) == std::vector<int>{2, 6, 5});
    }
  });
}

TEST_CASE("a fixed slot has its width even if all of its weights are 0, in every stage") {
  for_each_device([](Backend& backend) {
    RuledMemory memory(backend);
    DenseTensors start = drawn_weights(memory.layout);
    start[1].assign(start[1].size(), 0.0F);
    start[2].assign(start[2].size(), 0.0F);
    const Config config = config_with(5, 8);
    const auto planes = store_of_stage(memory, config, "bsq", as_weights(start));
    CHECK(bits_of(*planes) == std::vector<int>{2, 6, 1});
    method_of_stage("bsq", config)->adjust(*planes, false);
    CHECK(bits_of(*planes) == std::vector<int>{2, 6, 1});
    const Weights trained = download(backend, planes->masters());
    const auto fixed = store_of_stage(memory, config, "finetune", trained);
    CHECK(bits_of(*fixed) == std::vector<int>{2, 6, 0});
    const Weights result = convert_weights("planes", download(backend, fixed->masters()));
    CHECK(result->bits(1) == 6);
  });
}

TEST_CASE("a slot of a fixed width is under no penalty, and the others are under what they were") {
  for_each_device([](Backend& backend) {
    constexpr float kAlpha = 0.5F, kRate = 0.1F;
    const SgdRule rule{.momentum = 0, .weight_decay = 0};
    StoreMemory free_memory(backend);
    RuledMemory ruled_memory(backend);
    const std::vector<BitPlanes> planes = {trained_planes("conv", 2, 225, 1), trained_planes("fc", 6, 21, 1),
                                           trained_planes("bias", 4, 3, 1)};
    const auto stepped = [&](StoreMemory& memory) {
      PlaneWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), StoredPlanes(planes));
      backend.fill_zero(memory.gradients.data(), memory.gradients.size_bytes());
      const StepInputs* inputs = memory.set_inputs({.learning_rate = kRate, .method = {kAlpha}});
      store.step(rule, inputs, memory.metrics.as<StepMetrics>());
      return std::pair(store.planes(), memory.read_metrics()[0].penalty);
    };
    const auto [free, free_penalty] = stepped(free_memory);
    const auto [ruled, ruled_penalty] = stepped(ruled_memory);
    CHECK(same_bits(ruled[1].p, planes[1].p));
    CHECK(same_bits(ruled[1].n, planes[1].n));
    CHECK_FALSE(same_bits(free[1].p, planes[1].p));
    for (const std::size_t slot : {0, 2}) {
      CHECK(same_bits(ruled[slot].p, free[slot].p));
      CHECK_FALSE(same_bits(ruled[slot].p, planes[slot].p));
    }
    CHECK(ruled_penalty > 0);
    CHECK(ruled_penalty < free_penalty);
  });
}

TEST_CASE("the penalty counts weights, or the bit operations of an image") {
  for_each_device([](Backend& backend) {
    const SgdRule rule{.momentum = 0, .weight_decay = 0};
    StoreMemory memory(backend);
    memory.layout.slots[0].bit_operations = 3000;
    memory.layout.slots[1].bit_operations = 1000;  // and the bias multiplies nothing
    const std::vector<BitPlanes> planes = {trained_planes("conv", 2, 225, 1), trained_planes("fc", 6, 21, 1),
                                           trained_planes("bias", 4, 3, 1)};
    const auto norms_of = [](const BitPlanes& of) {
      double sum = 0;
      for (int bit = 0; bit < of.bits; ++bit) {
        double squares = 1e-8;
        for (std::int64_t i = 0; i < of.numel; ++i) {
          const auto at = static_cast<std::size_t>(bit * of.numel + i);
          squares += double{of.p[at]} * of.p[at] + double{of.n[at]} * of.n[at];
        }
        sum += std::sqrt(squares);
      }
      return sum;
    };
    const auto penalty = [&](PenaltyCost cost) {
      PlaneWeights store(memory.memory, memory.layout, memory.gradients.as<float>(), StoredPlanes(planes), kMaxBits,
                         cost);
      backend.fill_zero(memory.gradients.data(), memory.gradients.size_bytes());
      store.step(rule, memory.set_inputs({.learning_rate = 0.1F, .method = {0.5F}}), memory.metrics.as<StepMetrics>());
      const std::vector<BitPlanes> moved = store.planes();
      CHECK(same_bits(moved[2].p, planes[2].p) == (cost == PenaltyCost::bops));
      return memory.read_metrics()[0].penalty;
    };
    const double parameters = 225 + 21 + 3;
    CHECK(penalty(PenaltyCost::weights) ==
          Approx((225 * 2 * norms_of(planes[0]) + 21 * 6 * norms_of(planes[1]) + 3 * 4 * norms_of(planes[2])) /
                 parameters)
              .epsilon(1e-5));
    CHECK(penalty(PenaltyCost::bops) ==
          Approx((3000 * 2 * norms_of(planes[0]) + 1000 * 6 * norms_of(planes[1])) / 4000).epsilon(1e-5));
  });
}

TEST_CASE("bsq.cost chooses what the penalty counts") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    memory.layout.slots[0].bit_operations = 1;
    const Weights start = as_weights(drawn_weights(memory.layout));
    std::vector<double> penalties;
    for (const char* cost : {"weights", "bops"}) {
      Config config = default_config();
      config.part<BsqConfig>().cost = cost;
      store_of_stage(memory, config, "bsq", start)->step({}, memory.set_inputs({}), memory.metrics.as<StepMetrics>());
      penalties.push_back(memory.read_metrics()[0].penalty);
    }
    CHECK(penalties[0] != penalties[1]);
  });
}

TEST_CASE("a re-quantization keeps to the most bits of a slot, and to the width of a fixed one") {
  for_each_device([](Backend& backend) {
    RuledMemory memory(backend);
    // All planes at 2 for every other weight, which asks for levels twice as large as there are, and at 1 for the rest,
    // which keeps the last plane.
    const auto grown = [](int bits, std::int64_t numel) {
      std::vector<float> p(static_cast<std::size_t>(bits * numel), 2.0F);
      for (std::size_t i = 0; i < p.size(); ++i)
        if (i % static_cast<std::size_t>(numel) % 2 == 1) p[i] = 1.0F;
      return BitPlanes{.bits = bits, .scale = 1, .numel = numel, .p = p, .n = std::vector<float>(p.size())};
    };
    std::vector<BitPlanes> planes = {grown(2, 225), grown(6, 21), grown(4, 3)};
    const Config config = config_with(5, 8);
    const auto method = method_of_stage("bsq", config);
    const auto store = store_of_stage(memory, config, "bsq", as_weights(planes));
    for (const std::vector<int>& expected : {std::vector<int>{3, 6, 5}, std::vector<int>{3, 6, 6}}) {
      auto& plane_weights = dynamic_cast<PlaneWeights&>(*store);
      planes = plane_weights.planes();
      for (BitPlanes& tensor : planes) tensor = grown(tensor.bits, tensor.numel);
      plane_weights.set_planes(planes);
      method->adjust(*store, false);
      CHECK(bits_of(*store) == expected);
    }
    std::vector<BitPlanes> small = planes;  // one weight of level 1: all planes but the last are empty
    for (BitPlanes& tensor : small) {
      std::vector<int> k(static_cast<std::size_t>(tensor.numel));
      k[0] = 1;
      tensor = planes_from_levels(symmetric_levels(tensor.bits, 1, k));
    }
    dynamic_cast<PlaneWeights&>(*store).set_planes(small);
    method->adjust(*store, false);
    CHECK(bits_of(*store) == std::vector<int>{1, 6, 1});
  });
}

TEST_CASE("weights of other widths than the network says are refused in words") {
  const auto oracle = make_reference_backend();
  RuledMemory memory(*oracle);
  const Config config = config_with(5, 8);
  const Weights start = as_weights(drawn_weights(memory.layout));
  const auto refusal = [&](const std::string& stage, const std::vector<int>& bits) {
    return method_of_stage(stage, config)->refusal(*StoredPlanes::convert(start, bits), memory.layout);
  };
  for (const char* stage : {"convert", "bsq", "finetune"}) {
    INFO(stage);
    CHECK(refusal(stage, {3, 6, 8}).empty());
    CHECK(refusal(stage, {3, 5, 8}) ==
          "has 5 bits in fc.weight, where the network says 6, fixed; start from float "
          "weights, or say its widths");
    CHECK_THAT(refusal(stage, {4, 6, 8}),
               Catch::StartsWith("has 4 bits in layer1.0.conv1.weight, where the network says 3 at most;"));
  }
  CHECK(refusal("pretrain", {4, 5, 8}).empty());
  CHECK(method_of_stage("bsq", config)->refusal(*start, memory.layout).empty());
}

}  // namespace bsq::test
