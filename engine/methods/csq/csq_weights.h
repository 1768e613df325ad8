// Weights of CSQ: bit planes, masks and a scale per tensor, behind gates that harden (METHOD 14).
//
// Arena of planes as in engine/methods/bsq/plane_weights.h, but no tensor ever has other planes: precision is the mask.
#pragma once

#include "engine/methods/csq/mask_budget.h"
#include "engine/methods/csq/stored_csq.h"
#include "engine/model/weight_store.h"

namespace bsq {

/// What the budget averages over.
enum class CsqCount { weights, masks };
/// What each bit of a slot adds to the bits of the budget.
double budget_share(const ArenaLayout& layout, const ParameterSlot& slot, CsqCount count);

class CsqWeights final : public WeightStore {
 public:
  CsqWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients, const StoredCsq& weights,
             CsqCount count = CsqCount::weights);

  const CsqGates& gates() const { return gates_; }
  /// Sets the gates and writes the effective weights. The steps to come must have the same ones in their inputs.
  void set_gates(const CsqGates& gates);
  /// The budget whose loss the first step after set_gates() logs, as the steps to come have it in their inputs.
  void set_budget(float strength, float target) {
    strength_ = strength;
    target_ = target;
  }
  /// Switches masks until the bits come to the target (mask_budget.h), and writes the effective weights.
  struct Settled {
    double before = 0, after = 0;  // bits per weight, by spans
    SwitchedMasks switched = {};
  };
  Settled settle(double target, CsqCount count);

  std::string_view form() const override { return StoredCsq::kForm; }
  TensorView effective(std::size_t slot) const override;
  void step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* metrics) override;
  void reset_momentum() override;
  void set(const StoredWeights& weights) override;
  void write_effective() override { write_effective(inputs_.as<StepInputs>()); }
  OnDevice<Weights> masters() const override;
  OnDevice<Weights> momentum() const override;
  std::size_t largest_count() const override;
  std::vector<TensorCounts> count() const override;
  void load_momentum(const TensorFile& file) override;
  std::int64_t trainable_numbers() const override;

 private:
  void upload(const StoredCsq& weights);
  /// The arenas of the optimizer's numbers, or of their momentum.
  struct Arenas {
    Buffer planes, scales, masks;
  };
  Arenas allocate(DeviceMemory& memory, const std::string& name, std::size_t planes, std::size_t masks) const;
  void make_table(const StoredCsq& weights, CsqCount count);
  DeviceTable<CsqTensor> table() const { return {tensors_, table_.as<CsqTensor>()}; }
  void write_effective(const StepInputs* inputs);
  OnDevice<Weights> on_device(const Arenas& arenas, const CsqGates& gates) const;

  Backend& backend_;
  const ArenaLayout& layout_;
  const float* gradients_;
  std::vector<CsqTensor> tensors_;
  CsqGates gates_;
  float strength_ = 0;  // of the budget
  float target_ = 0;
  Buffer table_;
  Arenas numbers_;
  Arenas momentum_;
  Buffer values_;
  Buffer rounded_;  // bf16 copies, at the same offsets; empty if no slot wants any
  Buffer budget_;   // one CsqBudget
  Buffer inputs_;   // one StepInputs, outside of steps
  Buffer scratch_;
};

}  // namespace bsq
