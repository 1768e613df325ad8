// Weights of LSQ: the parameters are w and a step per tensor, or per output channel of a filter (METHOD 13). Bit widths
// change by set_bits() alone.
#pragma once

#include "engine/methods/lsq/stored_lsq.h"
#include "engine/model/weight_store.h"

namespace bsq {

class LsqWeights final : public WeightStore {
 public:
  /// `measures`: steps can find out what rounding does to the loss.
  LsqWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients, const StoredLsq& stored,
             bool measures = false);

  const ArenaLayout& layout() const { return layout_; }
  /// By slot.
  const std::vector<int>& bits() const { return bits_; }
  /// Gives tensors fewer bits; their steps double for each.
  /// Momentum and captured steps are void afterwards.
  void set_bits(const std::vector<int>& bits);
  /// Whether steps add up sensitivities; of a store that measures. Captured steps go on as they were.
  void set_measuring(bool measures) { is_measuring_ = measures; }
  /// What the steps since the last restart have added up, by slot. Waits for the work enqueued so far.
  std::vector<float> sensitivities() const;
  void restart_sensitivities();

  /// Of every slot: output_scales(). Of a store that was just made.
  void set_output_scales(std::vector<std::vector<float>> scales) { output_scales_ = std::move(scales); }

  std::string_view form() const override { return StoredLsq::kForm; }
  TensorView effective(std::size_t slot) const override;
  void step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* metrics) override;
  void reset_momentum() override;
  void set(const StoredWeights& weights) override;
  void write_effective() override;
  OnDevice<Weights> masters() const override;
  OnDevice<Weights> momentum() const override;
  std::size_t largest_count() const override;
  std::vector<TensorCounts> count() const override;
  std::vector<float> output_scales(std::size_t slot) const override {
    return output_scales_.empty() ? std::vector<float>() : output_scales_[slot];
  }
  void load_momentum(const TensorFile& file) override;
  std::int64_t trainable_numbers() const override;

 private:
  DeviceTable<LsqTensor> table() const { return {tensors_, table_.as<LsqTensor>()}; }
  void make_tensors(const std::vector<int>& bits);
  /// How many steps all tensors have.
  std::size_t step_count() const;
  /// What a level of each slot is worth; only those of slots with several steps are kept here.
  void set_units(std::vector<float> units);
  /// What arenas of w and of steps hold, on the host; `units` are those of slots with several steps.
  OnDevice<Weights> on_device(const Buffer& w, const Buffer& steps, std::vector<float> units) const;

  Backend& backend_;
  const ArenaLayout& layout_;
  const float* gradients_;
  std::vector<LsqTensor> tensors_;
  std::vector<int> bits_;                          // by slot
  std::vector<std::vector<float>> output_scales_;  // by slot and channel; empty: all are 1
  std::vector<float> level_units_;                 // by slot: what a level is worth, if it has several steps
  Buffer table_;
  Buffer w_;
  Buffer momentum_;
  Buffer steps_;
  Buffer step_momentum_;
  Buffer sensitivities_;  // empty if nothing can be measured
  bool is_measuring_ = false;
  Buffer values_;  // each tensor at its offset, whatever its type
  Buffer units_;
  Buffer scratch_;
};

}  // namespace bsq
