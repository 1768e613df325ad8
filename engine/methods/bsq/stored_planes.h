// Bit planes at rest: `<layer>.pweight`, `<layer>.nweight` [O, I, K, K, bits], most significant first, and
// `<layer>.scale` [1], as the published code writes them; but no scale is below 0. Training may drive it there: then p
// and n have changed places, which are the same weights.
#pragma once

#include "engine/methods/bsq/bit_planes.h"
#include "engine/model/stored_weights.h"

#include <memory>
#include <set>

namespace bsq {

class StoredPlanes final : public StoredWeights {
 public:
  static constexpr std::string_view kForm = kQuantizedForm;

  explicit StoredPlanes(std::vector<BitPlanes> planes) : planes_(std::move(planes)) {}
  /// Planes of training, or of a file that an older version wrote: those with a scale below 0 are turned.
  static std::shared_ptr<const StoredPlanes> with_positive_scales(std::vector<BitPlanes> planes);

  const std::vector<BitPlanes>& all() const { return planes_; }
  /// The slots that with_positive_scales() has turned.
  const std::set<std::size_t>& turned() const override { return turned_; }
  Weights with_turned(const std::set<std::size_t>& slots) const override;
  std::string_view form() const override { return kForm; }
  std::size_t size() const override { return planes_.size(); }
  std::vector<float> values(std::size_t slot) const override { return effective_weights(planes_[slot]); }
  /// 0 bits if all planes are empty.
  std::optional<Levels> levels(std::size_t slot) const override;
  int bits(std::size_t slot) const override { return planes_[slot].bits; }
  std::vector<HostTensor> tensors(const ArenaLayout& layout, std::string_view suffix = "") const override;
  std::vector<std::span<const float>> numbers() const override;
  /// A one of plane b is a weight whose p_b and n_b differ, between re-quantizations too.
  TensorCounts count(std::size_t slot) const override;

  static std::vector<std::string> tensor_names(const std::string& parameter);
  /// Bit widths follow from the shapes. Throws Error(checkpoint).
  static Weights read(const TensorFile& file, const ArenaLayout& layout, int max_bits);
  /// Weights of any form as bit planes. Weights on a grid keep their levels; others get bits[slot] bits (METHOD 1),
  /// without the planes that come out empty, or one empty plane if bits[slot] is 0.
  static Weights convert(const Weights& from, const std::vector<int>& bits);
  /// The same, where slots of a fixed width have it in any case: with empty planes, if all of their weights are 0.
  static Weights convert(const Weights& from, const ArenaLayout& layout, const std::vector<int>& bits);
  /// Weights on a grid as bit planes of no more than `most_bits`: wider ones are rounded anew, the others keep their
  /// levels.
  static Weights narrow(const Weights& from, int most_bits);

 private:
  std::vector<BitPlanes> planes_;
  std::set<std::size_t> turned_;
};

}  // namespace bsq
