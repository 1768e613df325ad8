// Fixed-point weights at rest: `<layer>.uweight` (u), `<layer>.scale`; the widths are in the metadata, `scheme`. No
// scale is below 0: where training has driven it there, u has the other sign.
#pragma once

#include "engine/model/stored_weights.h"

#include <memory>
#include <set>

namespace bsq {

/// u: [numel] in [-1, 1], the parameter of finetuning. 0 bits: the tensor is zero and stays zero.
/// W = s sign(u) round(|u| (2^bits - 1)) / (2^bits - 1).
struct FixedPoint {
  int bits = 0;
  float scale = 0;
  std::vector<float> u;
};

/// Changes the signs of u and scale: the same weights, and for training the same thing (bit for bit).
void turn(FixedPoint& tensor);

/// u = k / (2^bits - 1), the scale kept bit for bit.
FixedPoint fixed_from_levels(const Levels& levels);

class StoredFixedPoint final : public StoredWeights {
 public:
  static constexpr std::string_view kForm = "fixed";

  explicit StoredFixedPoint(std::vector<FixedPoint> tensors) : tensors_(std::move(tensors)) {}
  /// Weights of training, or of a file that an older version wrote: those with a scale below 0 are turned.
  static std::shared_ptr<const StoredFixedPoint> with_positive_scales(std::vector<FixedPoint> tensors);

  const std::vector<FixedPoint>& all() const { return tensors_; }
  /// The slots that with_positive_scales() has turned.
  const std::set<std::size_t>& turned() const override { return turned_; }
  Weights with_turned(const std::set<std::size_t>& slots) const override;
  std::string_view form() const override { return kForm; }
  std::size_t size() const override { return tensors_.size(); }
  std::vector<float> values(std::size_t slot) const override;
  std::optional<Levels> levels(std::size_t slot) const override;
  int bits(std::size_t slot) const override { return tensors_[slot].bits; }
  std::vector<HostTensor> tensors(const ArenaLayout& layout, std::string_view suffix = "") const override;
  std::vector<std::span<const float>> numbers() const override;

  static std::vector<std::string> tensor_names(const std::string& parameter);
  /// Throws Error(checkpoint).
  static Weights read(const TensorFile& file, const ArenaLayout& layout, int max_bits);
  /// Weights of any form that are on a grid, under the bit widths that they have. Throws Error(internal) if they are on
  /// none.
  static Weights convert(const Weights& from, const std::vector<int>& bits);
  /// The same, where slots of a fixed width have it although all of their weights are 0.
  static Weights convert(const Weights& from, const ArenaLayout& layout, const std::vector<int>& bits);

 private:
  std::vector<FixedPoint> tensors_;
  std::set<std::size_t> turned_;
};

}  // namespace bsq
