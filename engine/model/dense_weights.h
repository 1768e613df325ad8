// Float parameters under plain SGD: every parameter while pretraining, and batch norm, shortcuts and learned
// ceilings always. bf16 convolutions read rounded copies of their filters.
#pragma once

#include "engine/model/weight_store.h"

namespace bsq {

class DenseWeights final : public WeightStore {
 public:
  /// gradients: the group's part of the flat gradient buffer. Values start at zero: load() or set() them.
  DenseWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients, const std::string& name);
  /// Holds the quantizable group, with the effective weights of `weights`, whatever their form.
  DenseWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients, const StoredWeights& weights);

  /// Sets the numbers of a slot, which are in memory order (OHWI).
  void set(const ParameterSlot& slot, const std::vector<float>& values);
  void load(const TensorFile& file, const ParameterSlot& slot);

  std::string_view form() const override { return kFloatForm; }
  /// The trained numbers themselves, float32: the group's arena.
  float* values() const { return values_.as<float>(); }
  TensorView effective(std::size_t slot) const override;
  void step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* metrics) override;
  void reset_momentum() override;
  void set(const StoredWeights& weights) override;
  void write_effective() override { round(0, layout_.numel); }
  OnDevice<Weights> masters() const override;
  OnDevice<Weights> momentum() const override;
  std::size_t largest_count() const override { return static_cast<std::size_t>(layout_.numel); }
  std::vector<TensorCounts> count() const override;
  void load_momentum(const TensorFile& file) override;
  std::int64_t trainable_numbers() const override { return layout_.parameters; }

 private:
  /// Rounds `numel` masters from `offset` on, where a slot begins.
  void round(std::int64_t offset, std::int64_t numel);
  OnDevice<Weights> on_device(const Buffer& arena) const;
  void mark_slots(DeviceMemory& memory, const std::string& name);

  Backend& backend_;
  const ArenaLayout& layout_;
  const float* gradients_;
  Buffer values_;
  Buffer rounded_;  // bf16 copies, at the same offsets; empty if no slot wants any
  Buffer momentum_;
  Buffer marks_;  // of SgdStepArgs; empty if all slots decay, and none has to stay above 0
};

}  // namespace bsq
