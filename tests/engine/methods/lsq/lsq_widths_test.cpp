// Learned widths of LSQ: what becomes of the grid of a tensor that loses a bit, and what steps measure for that.
#include "engine/methods/lsq/lsq_weights.h"

#include "tests/engine/methods/store_support.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {

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

TEST_CASE("a tensor that loses bits keeps its masters, and its weights are on a grid twice as coarse for each") {
  for_each_device([](Backend& backend) {
    StoreMemory memory(backend);
    const auto weights = weights_of(memory, {8, 3, 3}, false);
    const auto before = dynamic_cast<const StoredLsq&>(*download(backend, weights->masters())).all();
    weights->set_bits({7, 3, 1});
    CHECK(weights->bits() == std::vector<int>{7, 3, 1});
    const auto after = dynamic_cast<const StoredLsq&>(*download(backend, weights->masters())).all();
    CHECK(after[0].step == 2 * before[0].step);
    CHECK(after[1].step == before[1].step);
    CHECK(after[2].step == 4 * before[2].step);  // -1, 0, 1
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
