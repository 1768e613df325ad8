// Weights of MSQ at rest: `<layer>.msq_weight` (u), `<layer>.msq_weight_scale`; the widths are in the metadata,
// `scheme`.
#pragma once

#include "engine/model/stored_weights.h"

#include <vector>

namespace bsq {

/// u: [numel], the parameter, in [-1, 1]; W = scale k / 2^bits, k = clamp(round(2^bits u), -N, N), N = 2^bits - 1
/// (METHOD 20). 0 bits: the tensor is zero and stays zero.
struct MsqTensorAtRest {
  int bits = 0;
  float scale = 1;  // above 0
  std::vector<float> u;
};

/// k of every weight, by the arithmetic of devices. Throws Error(diverged) for a NaN.
std::vector<int> msq_levels(const MsqTensorAtRest& tensor);
/// The share of weights whose level with so many bits is none of a grid with a bit less: k is not twice the k of
/// bits - 1.
double share_of_last_bits(const MsqTensorAtRest& tensor, int bits);

class StoredMsq final : public StoredWeights {
 public:
  static constexpr std::string_view kForm = "msq";

  explicit StoredMsq(std::vector<MsqTensorAtRest> tensors) : tensors_(std::move(tensors)) {}

  const std::vector<MsqTensorAtRest>& all() const { return tensors_; }
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
  /// Float weights get bits[slot]; the scale begins as the largest of them (of zeros 1), and u as what is left. Weights
  /// on a grid keep their widths and levels.
  static Weights convert(const Weights& from, const std::vector<int>& bits);
  /// The same, where slots of a fixed width have it although all of their weights are 0.
  static Weights convert(const Weights& from, const ArenaLayout& layout, const std::vector<int>& bits);

 private:
  std::vector<MsqTensorAtRest> tensors_;
};

}  // namespace bsq
