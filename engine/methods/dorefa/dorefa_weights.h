// Weights of DoReFa: the parameter is v, of whose tanh the levels are made (METHOD 19). Bit widths never change.
#pragma once

#include "engine/methods/dorefa/stored_dorefa.h"
#include "engine/model/weight_store.h"

namespace bsq {

class DorefaWeights final : public WeightStore {
 public:
  DorefaWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients, const StoredDorefa& stored);

  std::string_view form() const override { return StoredDorefa::kForm; }
  TensorView effective(std::size_t slot) const override;
  void step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* metrics) override;
  void reset_momentum() override;
  void set(const StoredWeights& weights) override;
  void write_effective() override;
  OnDevice<Weights> masters() const override;
  OnDevice<Weights> momentum() const override;
  std::size_t largest_count() const override;
  std::vector<TensorCounts> count() const override;
  void load_momentum(const TensorFile& file) override;
  std::int64_t trainable_numbers() const override;

 private:
  DeviceTable<DorefaTensor> table() const { return {tensors_, table_.as<DorefaTensor>()}; }
  OnDevice<Weights> on_device(const Buffer& v) const;

  Backend& backend_;
  const ArenaLayout& layout_;
  const float* gradients_;
  std::vector<DorefaTensor> tensors_;
  Buffer table_;
  Buffer v_;
  Buffer momentum_;
  Buffer peaks_;
  Buffer values_;  // each tensor at its offset, whatever its type
  Buffer units_;
  Buffer scratch_;
};

}  // namespace bsq
