// The quantizable weights of a network at rest: on the host, in the form in which they were trained or read.
//
// One entry per slot of the quantized ArenaLayout, elements in memory order (OHWI). Each form is a class of its own, in
// the room of its method, and alone knows the names of its tensors; engine/methods/weight_forms.h lists them. Between
// forms there are Levels, for weights on a grid, and plain values.
#pragma once

#include "engine/files/safetensors.h"
#include "engine/model/levels.h"
#include "engine/network/parameters.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bsq {

inline constexpr int kFloatBits = 32;
inline constexpr std::string_view kFloatForm = "float";
/// The form in which quantized weights are handed on, whatever form they were trained in: bit planes, which hold the
/// levels of every grid that is symmetric and has one unit per tensor.
inline constexpr std::string_view kQuantizedForm = "planes";
/// The end of a tensor's name for its momentum.
inline constexpr std::string_view kMomentumSuffix = ".momentum_buffer";

/// What the bits of a tensor are summed up from.
struct TensorCounts {
  int bits = 0;  // 32 in float
  float scale = 0;
  std::int64_t zeros = 0;          // effective weights that are 0
  std::vector<std::int64_t> ones;  // per plane, the most significant first; none in float and if bits = 0
  bool is_odd = false;             // every weight has an odd level: a file needs no signs
};

class StoredWeights {
 public:
  virtual ~StoredWeights() = default;

  /// As files name it: kFloatForm, kQuantizedForm, or that of a method.
  virtual std::string_view form() const = 0;
  /// How many slots there are.
  virtual std::size_t size() const = 0;
  /// Effective weights: what layers read.
  virtual std::vector<float> values(std::size_t slot) const = 0;
  /// Nothing if the slot is on no grid.
  virtual std::optional<Levels> levels(std::size_t slot) const = 0;
  /// The bit width that a file stores the slot with; 32 in float.
  virtual int bits(std::size_t slot) const = 0;
  /// The slots that have changed their signs since training, where their scale was below 0; only forms that train
  /// scales have any.
  virtual const std::set<std::size_t>& turned() const;
  /// The same weights, with other signs of scale and numbers in these slots.
  virtual std::shared_ptr<const StoredWeights> with_turned(const std::set<std::size_t>& slots) const;
  /// The tensors of a file. Momentum, which has the shape of what it belongs to, has a suffix behind its names.
  virtual std::vector<HostTensor> tensors(const ArenaLayout& layout, std::string_view suffix = "") const = 0;
  /// The numbers that tensors() holds, in memory order: slot by slot, whatever trains.
  virtual std::vector<std::span<const float>> numbers() const = 0;
  /// Counts one slot. A one of a plane is a bit of |k|, unless the form says otherwise.
  virtual TensorCounts count(std::size_t slot) const;

  /// Whether any slot has fewer bits than float32.
  bool is_quantized() const;
};

/// They never change, so that threads and files share them.
using Weights = std::shared_ptr<const StoredWeights>;

using DenseTensors = std::vector<std::vector<float>>;

/// Float weights: `conv1.weight`.
class StoredDense final : public StoredWeights {
 public:
  static constexpr std::string_view kForm = kFloatForm;

  explicit StoredDense(DenseTensors tensors) : tensors_(std::move(tensors)) {}

  const DenseTensors& all() const { return tensors_; }
  std::string_view form() const override { return kForm; }
  std::size_t size() const override { return tensors_.size(); }
  std::vector<float> values(std::size_t slot) const override { return tensors_[slot]; }
  std::optional<Levels> levels(std::size_t) const override { return {}; }
  int bits(std::size_t) const override { return kFloatBits; }
  std::vector<HostTensor> tensors(const ArenaLayout& layout, std::string_view suffix = "") const override;
  std::vector<std::span<const float>> numbers() const override;

  static std::vector<std::string> tensor_names(const std::string& parameter) { return {parameter}; }
  /// Throws Error(checkpoint).
  static Weights read(const TensorFile& file, const ArenaLayout& layout, int max_bits);
  /// Effective weights of any form.
  static Weights convert(const Weights& from, const std::vector<int>& bits = {});

 private:
  DenseTensors tensors_;
};

/// Start values of a network that nobody has trained yet.
Weights initial_weights(const ArenaLayout& layout, std::uint64_t seed);
/// Effective weights of all slots.
DenseTensors all_values(const StoredWeights& weights);
/// StoredWeights::count() of all slots.
std::vector<TensorCounts> count_weights(const StoredWeights& weights);
/// Whether a method is still on the way from float numbers to a grid: its weights have widths, but no levels yet.
bool are_soft(const StoredWeights& weights);
/// Why no form but that of LSQ can hold these weights, in words: a tensor has a lopsided grid; empty if none has.
std::string grid_conflict(const StoredWeights& weights);
/// Why no other method can start from these weights, in words: they are soft, or a slot has another width than the
/// network says: `has 5 bits in fc.weight, where the network says 8, fixed; ...`; empty if all is well. Float weights
/// have no width yet.
std::string width_conflict(const StoredWeights& weights, const ArenaLayout& layout);
/// The same, or grid_conflict(): of methods whose grid is symmetric.
std::string symmetric_conflict(const StoredWeights& weights, const ArenaLayout& layout);

/// {"conv1": [8, 0], "fc": [8, 8]}: bits of weight and bias, the form that checkpoints store.
std::string scheme_to_json(const StoredWeights& weights, const ArenaLayout& layout);
/// The same of parameters by name, and their bits.
std::string scheme_to_json(const std::vector<std::pair<std::string, int>>& bits);
/// Bits by slot from such a text; throws Error(checkpoint) naming `where`.
std::vector<int> scheme_from_json(const std::string& text, const ArenaLayout& layout, const std::string& where);

}  // namespace bsq
