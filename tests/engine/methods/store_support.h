// A store of three tensors with its gradients, and the formulas of METHOD 1 to 5 written out in double.
#pragma once

#include "engine/methods/methods.h"
#include "engine/model/dense_weights.h"
#include "tests/support/engine.h"

namespace bsq::test {

/// A convolution, a classifier and its bias: 225, 21 and 3 weights, so that the arena has gaps.
inline ArenaLayout store_layout() {
  constexpr auto kQuantized = ParameterGroup::quantized;
  return lay_out({{.name = "layer1.0.conv1.weight", .shape = {5, 3, 3, 5}, .group = kQuantized},
                  {.name = "fc.weight", .shape = {3, 7}, .group = kQuantized},
                  {.name = "fc.bias", .shape = {3}, .group = kQuantized}},
                 kQuantized);
}

inline std::int64_t numel_of(const ParameterSlot& slot) {
  return slot.spec.shape.numel();
}

/// Memory, step inputs and gradients for one store.
struct StoreMemory {
  explicit StoreMemory(Backend& backend_to_use)
      : backend(backend_to_use),
        memory(backend),
        gradients(memory.allocate_array<float>("gradients", static_cast<std::size_t>(layout.numel))),
        inputs(memory.allocate_array<StepInputs>("inputs", 1)),
        metrics(memory.allocate_array<StepMetrics>("metrics", 4)) {}

  const StepInputs* set_inputs(const StepInputs& values) {
    backend.upload(inputs.data(), &values, sizeof(values));
    return inputs.as<StepInputs>();
  }
  /// The gradients of the weights at step `step`, by slot, also put where the store reads them, as it wants them: times
  /// the unit where weights are stored as integers.
  std::vector<std::vector<float>> draw_gradients(const WeightStore& store, int step, float deviation) {
    RandomTensors random("gradients of step " + std::to_string(step));
    std::vector<std::vector<float>> drawn;
    for (std::size_t slot = 0; slot < layout.slots.size(); ++slot) {
      drawn.push_back(random.normal(numel_of(layout.slots[slot]), 0, deviation));
      upload_array(backend, gradients.as<float>() + layout.slots[slot].offset, times_unit(store, slot, drawn.back()));
    }
    return drawn;
  }
  /// What the stored weights stand for.
  std::vector<float> values(const WeightStore& store, std::size_t slot) {
    const auto count = static_cast<std::size_t>(numel_of(layout.slots[slot]));
    return times_unit(store, slot, download_array(backend, store.effective(slot).as<float>(), count));
  }
  std::vector<float> times_unit(const WeightStore& store, std::size_t slot, std::vector<float> numbers) {
    const float* unit = store.effective(slot).unit.weight;
    if (unit == nullptr) return numbers;
    const float factor = download_array(backend, unit, 1)[0];
    for (float& number : numbers) number *= factor;
    return numbers;
  }
  /// The tensors that files have of a store, and of its optimizer's state.
  std::vector<HostTensor> saved(const WeightStore& store) {
    return download(backend, store.masters())->tensors(layout);
  }
  std::vector<HostTensor> saved_momentum(const WeightStore& store) {
    return download(backend, store.momentum())->tensors(layout, kMomentumSuffix);
  }
  std::vector<StepMetrics> read_metrics() { return download_array(backend, metrics.as<StepMetrics>(), 4); }

  Backend& backend;
  ArenaLayout layout = store_layout();
  DeviceMemory memory;
  Buffer gradients, inputs, metrics;
};

/// Steps with gradients of their own, under a penalty.
inline void take_steps(StoreMemory& store_memory, WeightStore& store, int first, int count) {
  for (int step = first; step < first + count; ++step) {
    const StepInputs* inputs = store_memory.set_inputs({.learning_rate = 0.05F, .method = {0.1F}});
    store_memory.draw_gradients(store, step, 0.3F);
    store.step({}, inputs, nullptr);
  }
}

/// PyTorch's SGD in double: what one number does.
struct SgdNumber {
  double value = 0;
  double velocity = 0;

  void step(double gradient, const SgdRule& rule, double learning_rate) {
    const double pull = gradient + double{rule.weight_decay} * value;
    velocity = double{rule.momentum} * velocity + pull;
    value -= learning_rate * (rule.nesterov ? pull + double{rule.momentum} * velocity : velocity);
  }
};

inline double levels_of(int bits) {
  return std::pow(2.0, bits) - 1;
}

/// q of METHOD 1.
inline double quantized_value(double u, int bits) {
  const double v = std::min(std::max(u, -1.0), 1.0);
  return std::copysign(std::nearbyint(std::fabs(v) * levels_of(bits)) / levels_of(bits), v);
}

/// Planes as training leaves them: most within 0 .. 1, a few at 0 and at 2.
inline BitPlanes trained_planes(const std::string& name, int bits, std::int64_t numel, float scale) {
  RandomTensors random(name);
  BitPlanes planes{bits, scale, numel, random.uniform(bits * numel, -0.1F, 0.9F),
                   random.uniform(bits * numel, -0.1F, 0.9F)};
  for (std::vector<float>* side : {&planes.p, &planes.n}) {
    for (float& value : *side) value = value > 0.87F ? 2.0F : std::max(value, 0.0F);
  }
  return planes;
}

inline void check_close(const std::vector<float>& actual, const std::vector<double>& expected,
                        const std::string& what) {
  const Comparison comparison = compare_scaled(to_doubles(actual), expected, relative_tolerance(DType::f32));
  INFO(what << ": " << comparison.report());
  CHECK(comparison.ok());
}

/// The store of a stage's method.
inline std::unique_ptr<WeightStore> store_of_stage(StoreMemory& memory, const Config& config, const std::string& stage,
                                                   const Weights& from) {
  return method_of_stage(stage, config)->make_store(memory.memory, memory.layout, memory.gradients.as<float>(), from);
}

}  // namespace bsq::test
