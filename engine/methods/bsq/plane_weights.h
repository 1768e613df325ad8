// Bit planes: every bit of every weight is a trainable variable p_b or n_b in [0, 2] (BSQ, ICLR 2021, Eq. 3 to 6;
// METHOD 1 to 4).
//
// Arena: for each tensor all planes of p, then all of n, most significant first, each in OHWI order. The capacity of a
// tensor is what its width may come to, so that re-quantization, which may add or drop planes, moves data but never
// allocates. A tensor of a fixed width is under no penalty.
#pragma once

#include "engine/methods/bsq/stored_planes.h"
#include "engine/model/weight_store.h"

namespace bsq {

/// What a bit of a layer costs in the group penalty: its weights, or the multiply-adds of an image with them, times the
/// bits of what they are multiplied with (METHOD 2).
enum class PenaltyCost : std::uint8_t { weights, bops };

class PlaneWeights final : public WeightStore {
 public:
  PlaneWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients, const StoredPlanes& weights,
               int max_bits = kMaxBits, PenaltyCost cost = PenaltyCost::weights);

  const ArenaLayout& layout() const { return layout_; }
  /// By slot, the most bits that it may come to.
  const std::vector<int>& most_bits() const { return most_bits_; }
  /// Host copies, one per slot, in memory order.
  std::vector<BitPlanes> planes() const;
  /// Replaces every tensor, bit widths included. Momentum starts from zero again. Captured steps are void afterwards.
  void set_planes(const std::vector<BitPlanes>& planes);

  std::string_view form() const override { return StoredPlanes::kForm; }
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
  void upload(const std::vector<BitPlanes>& planes);
  DeviceTable<PlaneTensor> table() const { return {tensors_, table_.as<PlaneTensor>()}; }
  /// Of a slot with so many bits; those of all slots with one bit each make 1.
  double cost_share(const ParameterSlot& slot, int bits) const;
  /// Where a plane arena lies on the device.
  std::vector<DeviceSpan> spans_of(const Buffer& arena) const;

  Backend& backend_;
  const ArenaLayout& layout_;
  const float* gradients_;
  std::vector<int> most_bits_;
  PenaltyCost cost_;
  std::vector<PlaneTensor> tensors_;
  std::set<std::size_t> turned_;  // slots that a file of an older version has the other way round, momentum too
  Buffer table_;                  // tensors_ on the device
  Buffer planes_;
  Buffer momentum_;
  Buffer scales_;
  Buffer scale_momentum_;
  Buffer norms_;
  Buffer values_;  // each tensor at its offset, whatever its type
  Buffer units_;
  Buffer penalty_;
  Buffer counts_;
  Buffer scratch_;
};

}  // namespace bsq
