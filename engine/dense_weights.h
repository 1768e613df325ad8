// Float parameters under plain SGD: every parameter while pretraining, and batch norm, shortcuts and PACT ceilings
// always.
#pragma once

#include "engine/weight_store.h"

namespace bsq {

class DenseWeights final : public WeightStore {
 public:
  /// gradients: the group's part of the flat gradient buffer. Values start at zero: load() or set() them.
  DenseWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients, const std::string& name);

  /// Memory order (OHWI).
  void set(const ParameterSlot& slot, const std::vector<float>& values);
  void load(const TensorFile& file, const ParameterSlot& slot);

  std::string_view form() const override { return "float"; }
  float* values() const override { return values_.as<float>(); }
  void materialize(const StepInputs*, StepMetrics*) override {}
  void step(const SgdRule& rule, const StepInputs* inputs) override;
  void reset_momentum() override;
  std::vector<HostTensor> save() const override;
  std::vector<HostTensor> save_momentum() const override;
  void load_momentum(const TensorFile& file) override;
  std::int64_t trainable_numbers() const override { return layout_.parameters; }

 private:
  Backend& backend_;
  const ArenaLayout& layout_;
  const float* gradients_;
  Buffer values_;
  Buffer momentum_;
};

}  // namespace bsq
