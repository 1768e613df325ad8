// Learned widths of LSQ: which tensors lose a bit, what becomes of their grid, and what steps measure for that.
#include "engine/methods/lsq/width_budget.h"

#include "engine/methods/lsq/lsq_weights.h"
#include "engine/model/bit_budget.h"
#include "tests/engine/methods/store_support.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {

/// 225, 21 and 3 weights.
double bits_of(const std::vector<int>& widths) {
  return (225.0 * widths[0] + 21.0 * widths[1] + 3.0 * widths[2]) / 249;
}

std::vector<int> taken(const std::vector<int>& bits, const std::vector<float>& sensitivities, double target,
                       double planned, bool several = false, const ArenaLayout& layout = store_layout()) {
  return take_bits(bits, sensitivities, layout, target, planned, several);
}

std::unique_ptr<LsqWeights> weights_of(StoreMemory& memory, const std::vector<int>& bits, bool measures) {
  std::vector<LsqTensorAtRest> tensors;
  for (std::size_t slot = 0; slot < memory.layout.slots.size(); ++slot) {
    const std::vector<float> w = RandomTensors("widths").normal(numel_of(memory.layout.slots[slot]), 0.0F, 0.5F);
    tensors.push_back({.bits = bits[slot], .step = lsq_start_step(w, bits[slot]), .w = w});
  }
  return std::make_unique<LsqWeights>(memory.memory, memory.layout, memory.gradients.as<float>(),
                                      StoredLsq(std::move(tensors)), measures);
}

}  // namespace

TEST_CASE("the least sensitive tensors lose a bit each, until the plan is met") {
  const std::vector<float> e = {3, 1, 2};
  CHECK(taken({8, 8, 8}, e, 3, 8) == std::vector<int>{8, 8, 8});
  CHECK(taken({8, 8, 8}, e, 3, 7.95) == std::vector<int>{8, 7, 8});
  CHECK(taken({8, 8, 8}, e, 3, 7.91) == std::vector<int>{8, 7, 7});
  CHECK(taken({8, 8, 8}, e, 3, 7.8) == std::vector<int>{7, 7, 7});
  CHECK(taken({8, 8, 8}, e, 3, 3) == std::vector<int>{7, 7, 7});  // one each at a time
  CHECK(taken({8, 8, 8}, {1, 2, 3}, 3, 7.95) == std::vector<int>{7, 8, 8});
  CHECK(taken({8, 8, 8}, {1, 1, 1}, 3, 7.95) == std::vector<int>{7, 8, 8});  // of equal ones the first
}

TEST_CASE("at the end of the window tensors lose as many bits as it takes, each of them a doubled sensitivity") {
  CHECK(taken({8, 8, 8}, {1, 1.5F, 100}, 3, 6.9, true) == std::vector<int>{6, 7, 8});
  CHECK(taken({8, 8, 8}, {1, 100, 100}, 6, 6, true) == std::vector<int>{6, 6, 6});
  CHECK(taken({1, 1, 2}, {1, 1, 1}, 0.5, 0.5, true) == std::vector<int>{1, 1, 1});  // a bit stays
}

TEST_CASE("the bit that would cross the target stays if the average is nearer with it") {
  // A bit of the first tensor is 0.904 of the average.
  CHECK(taken({4, 4, 4}, {1, 9, 9}, 3.6, 3.6, true) == std::vector<int>{4, 1, 1});  // 3.71, and not 3.10
  CHECK(taken({4, 4, 4}, {1, 9, 9}, 3.5, 3.5, true) == std::vector<int>{3, 4, 4});  // 3.10: nearer than 4 is
  CHECK(std::abs(bits_of({3, 4, 4}) - 3.5) < 0.904 / 2);
  CHECK_FALSE(can_come_nearer({3, 4, 4}, store_layout(), 3.2));
  CHECK(can_come_nearer({4, 4, 4}, store_layout(), 3.2));
  CHECK_FALSE(can_come_nearer({4, 4, 4}, store_layout(), 4));
  CHECK_FALSE(can_come_nearer({1, 1, 1}, store_layout(), 0.5));
}

TEST_CASE("tensors of a fixed width and those without weights are left alone") {
  ArenaLayout layout = store_layout();
  layout.slots[1].spec.widths = {.start = 8, .most = 8, .fixed = true};
  CHECK(taken({8, 8, 0}, {9, 1, 0}, 3, 3, true, layout) == std::vector<int>{3, 8, 0});
  CHECK(least_bits(layout) == Approx(bits_of({1, 8, 1})));
  CHECK(bits_per_weight(std::vector<int>{2, 8, 0}, layout) == Approx(bits_of({2, 8, 1})));
}

TEST_CASE("a budget in stored bits has a sign per weight and a scale per tensor beside the bits") {
  const ArenaLayout layout = store_layout();
  CHECK(BitBudget{4, false}.published(layout) == 4);
  CHECK(BitBudget{4, true}.published(layout) == Approx(4 - 1 - 32 * 3 / 249.0));
}

TEST_CASE("the plan falls from the start to the target as a parabola, and the window is half of a stage") {
  CHECK(planned_width(8, 4, 0, 10) == 8);
  CHECK(planned_width(8, 4, 5, 10) == Approx(5));
  CHECK(planned_width(8, 4, 10, 10) == 4);
  CHECK(planned_width(8, 4, 20, 10) == 4);
  CHECK(planned_width(3, 4, 0, 10) == 4);  // there from the start
  CHECK(window_of({}, {.epochs = 9, .milestones = {}}) == 5);
  CHECK(window_of({.budget_epochs = 3}, {.epochs = 9, .milestones = {}}) == 3);
  CHECK(window_of({}, {.epochs = 0, .milestones = {}}) == 1);
}

TEST_CASE("a tensor that loses bits keeps its range and its masters, and its weights are on the coarser grid") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    const auto weights = weights_of(memory, {8, 3, 2}, false);
    const auto before = dynamic_cast<const StoredLsq&>(*download(backend, weights->masters())).all();
    weights->set_bits({7, 3, 1});
    CHECK(weights->bits() == std::vector<int>{7, 3, 1});
    const auto after = dynamic_cast<const StoredLsq&>(*download(backend, weights->masters())).all();
    CHECK(after[0].step == Approx(before[0].step * 255.0 / 127).epsilon(1e-7));
    CHECK(after[1].step == before[1].step);
    CHECK(after[2].step == Approx(before[2].step * 3.0).epsilon(1e-7));  // -1, 0, 1
    for (std::size_t slot = 0; slot < 3; ++slot) {
      CHECK(after[slot].w == before[slot].w);
      const std::vector<int> levels = lsq_levels(after[slot]);
      const std::vector<float> values = memory.values(*weights, slot);
      for (std::size_t i = 0; i < levels.size(); ++i)
        CHECK(values[i] == Approx(after[slot].step * static_cast<float>(levels[i])).margin(1e-7));
    }
    CHECK_THROWS(weights->set_bits({8, 3, 1}));
    CHECK_THROWS(weights->set_bits({7, 3, 0}));
  });
}

TEST_CASE("steps add up what rounding does to the loss, tensor by tensor, as METHOD 13 says") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    const auto weights = weights_of(memory, {2, 3, 1}, true);
    const auto plain = weights_of(memory, {2, 3, 1}, false);
    weights->set_measuring(true);
    std::vector<double> expected(3);
    for (int step = 0; step < 3; ++step) {
      const auto at_rest = dynamic_cast<const StoredLsq&>(*download(backend, weights->masters())).all();
      const auto gradients = memory.draw_gradients(*weights, step, 0.1F);
      for (std::size_t slot = 0; slot < 3; ++slot) {
        const std::vector<int> levels = lsq_levels(at_rest[slot]);
        double sum = 0;
        for (std::size_t i = 0; i < levels.size(); ++i)
          sum += (double{at_rest[slot].w[i]} - double{at_rest[slot].step} * levels[i]) * double{gradients[slot][i]};
        expected[slot] += std::abs(sum) / static_cast<double>(levels.size());
      }
      const StepInputs* inputs = memory.set_inputs({.learning_rate = 0.05F});
      weights->step({.momentum = 0.9F, .weight_decay = 0.01F}, inputs, nullptr);
      memory.draw_gradients(*plain, step, 0.1F);
      plain->step({.momentum = 0.9F, .weight_decay = 0.01F}, inputs, nullptr);
    }
    CHECK(compare_scaled(to_doubles(weights->sensitivities()), expected, 1e-4).ok());
    CHECK(all_values(*download(backend, weights->masters())) == all_values(*download(backend, plain->masters())));

    // They go with the optimizer's state to a file and back.
    TensorFile file;
    file.tensors = download(backend, weights->momentum())->tensors(memory.layout, kMomentumSuffix);
    const auto again = weights_of(memory, {2, 3, 1}, true);
    again->load_momentum(file);
    CHECK(same_bits(again->sensitivities(), weights->sensitivities()));
    weights->restart_sensitivities();
    CHECK(weights->sensitivities() == std::vector<float>(3, 0.0F));
    weights->set_measuring(false);
    memory.draw_gradients(*weights, 9, 0.1F);
    weights->step({}, memory.set_inputs({.learning_rate = 0.05F}), nullptr);
    CHECK(weights->sensitivities() == std::vector<float>(3, 0.0F));
    CHECK(download(backend, plain->momentum())->tensors(memory.layout).size() == 6);
  });
}

}  // namespace bsq::test
