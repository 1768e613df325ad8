// Fixed-point weights: finetuning under a found scheme (METHOD 5). The parameter is u in [-1, 1], bit widths never
// change.
#pragma once

#include "engine/methods/fixed_point/stored_fixed_point.h"
#include "engine/model/weight_store.h"

namespace bsq {

class FixedPointWeights final : public WeightStore {
 public:
  FixedPointWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                    const StoredFixedPoint& stored);

  std::string_view form() const override { return StoredFixedPoint::kForm; }
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
  DeviceTable<FixedTensor> table() const { return {tensors_, table_.as<FixedTensor>()}; }

  Backend& backend_;
  const ArenaLayout& layout_;
  const float* gradients_;
  std::vector<FixedTensor> tensors_;
  std::set<std::size_t> turned_;  // slots that a file of an older version has with the other sign, momentum too
  Buffer table_;
  Buffer u_;
  Buffer momentum_;
  Buffer scales_;
  Buffer scale_momentum_;
  Buffer values_;  // each tensor at its offset, whatever its type
  Buffer units_;
  Buffer counts_;
  Buffer scratch_;
};

}  // namespace bsq
