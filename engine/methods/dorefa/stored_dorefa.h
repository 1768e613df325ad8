// Weights of DoReFa at rest: `<layer>.dorefa_weight` (v), `<layer>.dorefa_scale`; the widths are in the metadata,
// `scheme`.
#pragma once

#include "engine/model/stored_weights.h"

#include <vector>

namespace bsq {

/// v: [numel], the parameter; W = scale k / N, N = 2^bits - 1, k odd (METHOD 19).
struct DorefaTensorAtRest {
  int bits = 1;
  float scale = 1;  // above 0, never trained
  std::vector<float> v;
};

/// k of every weight, by the arithmetic of devices. Throws Error(diverged) for a NaN.
std::vector<int> dorefa_levels(const DorefaTensorAtRest& tensor);

class StoredDorefa final : public StoredWeights {
 public:
  static constexpr std::string_view kForm = "dorefa";

  explicit StoredDorefa(std::vector<DorefaTensorAtRest> tensors) : tensors_(std::move(tensors)) {}

  const std::vector<DorefaTensorAtRest>& all() const { return tensors_; }
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
  /// v begins as the weights, the scale as the largest of them; of zeros 1. Weights on a grid keep their widths, of
  /// which none is 0 here.
  static Weights convert(const Weights& from, const std::vector<int>& bits);

 private:
  std::vector<DorefaTensorAtRest> tensors_;
};

}  // namespace bsq
