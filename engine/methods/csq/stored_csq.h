// Weights of CSQ at rest: `<layer>.pweight`, `<layer>.nweight` [O, I, K, K, N], `<layer>.scale` [1] and
// `<layer>.mask_weight` [N], the published code's names, and `<layer>.gates_weight` [2]: temperature and hardness, the
// same for all layers. While a gate is soft they are on no grid.
#pragma once

#include "engine/model/stored_weights.h"
#include "kernels/ops/csq.h"

#include <memory>
#include <vector>

namespace bsq {

/// p and n: [bits][numel] in memory order, plane 0 the most significant; mask: [bits].
struct CsqTensorAtRest {
  int bits = 0;  // N, 1..8
  float scale = 0;
  std::vector<float> p, n, mask;
  bool fixed = false;  // every plane counts, whatever its mask

  std::size_t numel() const { return p.size() / static_cast<std::size_t>(bits); }
};

struct CsqGates {
  float temperature = 1;
  CsqHardness hardness = CsqHardness::none;

  bool operator==(const CsqGates&) const = default;
};

/// The levels k = sum_b 2^(N-1-b) ([p_b > 0] - [n_b > 0]) [m_b > 0], on the grid from the first to the last selected
/// plane. bits = 0 if none is selected. A scale below 0 turns all signs.
Levels hardened(const CsqTensorAtRest& tensor);
/// The same weights without the planes of a grid that are empty, at both ends.
Levels without_empty_planes(const Levels& levels);

class StoredCsq final : public StoredWeights {
 public:
  static constexpr std::string_view kForm = "csq";

  StoredCsq(std::vector<CsqTensorAtRest> tensors, CsqGates gates);

  const std::vector<CsqTensorAtRest>& all() const { return tensors_; }
  const CsqGates& gates() const { return gates_; }
  std::string_view form() const override { return kForm; }
  std::size_t size() const override { return tensors_.size(); }
  std::vector<float> values(std::size_t slot) const override;
  /// Nothing while a gate is soft.
  std::optional<Levels> levels(std::size_t slot) const override;
  /// From the first to the last plane that its mask selects.
  int bits(std::size_t slot) const override;
  std::vector<HostTensor> tensors(const ArenaLayout& layout, std::string_view suffix = "") const override;
  std::vector<std::span<const float>> numbers() const override;
  /// A one of a soft tensor is a bit of |k| as its gates would harden now.
  TensorCounts count(std::size_t slot) const override;
  /// The same, where it is known how many effective weights are 0.
  TensorCounts count(std::size_t slot, std::int64_t zeros) const;

  static std::vector<std::string> tensor_names(const std::string& parameter);
  /// Throws Error(checkpoint).
  static Weights read(const TensorFile& file, const ArenaLayout& layout, int max_bits);
  /// Float weights get planes of bits[slot] bits with gates at their softest, masks of 0 (METHOD 14); weights on a grid
  /// keep their levels, with hard gates.
  static Weights convert(const Weights& from, const std::vector<int>& bits);

 private:
  bool is_hard() const { return gates_.hardness == CsqHardness::all; }

  std::vector<CsqTensorAtRest> tensors_;
  CsqGates gates_;
  std::vector<Levels> levels_;  // if all gates are hard
};

}  // namespace bsq
