// Weights of MSQ: the parameters are u and a scale per tensor (METHOD 20). Bit widths change by set_bits() alone.
#pragma once

#include "engine/methods/msq/stored_msq.h"
#include "engine/model/weight_store.h"

namespace bsq {

class MsqWeights final : public WeightStore {
 public:
  MsqWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients, const StoredMsq& stored);

  const ArenaLayout& layout() const { return layout_; }
  /// By slot.
  std::vector<int> bits() const;
  /// Gives tensors fewer bits; u stays. Momentum and captured steps are void afterwards.
  void set_bits(const std::vector<int>& bits);
  /// share_of_last_bits() by slot and width, 0 of none. Waits for the work enqueued so far.
  std::vector<std::vector<float>> last_bits() const;

  std::string_view form() const override { return StoredMsq::kForm; }
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
  DeviceTable<MsqTensor> table() const { return {tensors_, table_.as<MsqTensor>()}; }
  OnDevice<Weights> on_device(const Buffer& u, const Buffer& scales) const;

  Backend& backend_;
  const ArenaLayout& layout_;
  const float* gradients_;
  std::vector<MsqTensor> tensors_;
  Buffer table_;
  Buffer u_;
  Buffer momentum_;
  Buffer scales_;
  Buffer scale_momentum_;
  Buffer values_;  // each tensor at its offset, whatever its type
  Buffer units_;
  Buffer scratch_;
};

}  // namespace bsq
