// Weights of LSQ at rest: `<layer>.lsq_weight` (w), `<layer>.lsq_step`, of a filter with a step per output channel also
// `<layer>.lsq_weight_channel_steps`; of a lopsided grid
// `<layer>.lsq_weight_low`, its least level. The widths are in the metadata, `scheme`.
#pragma once

#include "engine/model/stored_weights.h"

#include <memory>
#include <optional>
#include <vector>

namespace bsq {

/// w: [numel], the parameter; W = step k, k = round(clamp(w / step, low, high)), high = 2^bits - 1, low = -high, or of
/// a lopsided grid -high - 1. 0 bits: the tensor is zero and stays zero. A filter may round each output channel by a
/// step of its own; `step` is then what a level is worth in all of them, and nothing moves it.
struct LsqTensorAtRest {
  int bits = 0;
  float step = 0;
  std::vector<float> w;
  std::optional<float> sensitivity = {};  // beside momentum, where a stage measures it (METHOD 13)
  std::vector<float> channel_steps = {};  // [output channels], or none
  bool is_lopsided = false;

  int high() const { return (1 << bits) - 1; }
  int low() const { return bits > 0 && is_lopsided ? -high() - 1 : -high(); }

  /// The steps that round: of the channels, or the one of the tensor.
  std::span<const float> steps() const;
};

/// Which weights share a step.
enum class LsqSteps : std::uint8_t { per_tensor, per_channel };

/// The grids that LSQ has: the symmetric one, or published LSQ's with a level more below.
enum class LsqRange : std::uint8_t { symmetric, asymmetric };

/// k of every weight, by the float32 quotient that devices take. Throws Error(diverged) for a NaN.
std::vector<int> lsq_levels(const LsqTensorAtRest& tensor);
/// The step that training begins with: 2 mean|w| / sqrt(2^bits - 1), and no less than kSmallestStep; of zeros
/// 1 / (2^bits - 1).
float lsq_start_step(std::span<const float> w, int bits);

class StoredLsq final : public StoredWeights {
 public:
  static constexpr std::string_view kForm = "lsq";

  explicit StoredLsq(std::vector<LsqTensorAtRest> tensors) : tensors_(std::move(tensors)) {}

  const std::vector<LsqTensorAtRest>& all() const { return tensors_; }
  std::string_view form() const override { return kForm; }
  std::size_t size() const override { return tensors_.size(); }
  std::vector<float> values(std::size_t slot) const override;
  std::optional<Levels> levels(std::size_t slot) const override;
  int bits(std::size_t slot) const override { return tensors_[slot].bits; }
  std::vector<HostTensor> tensors(const ArenaLayout& layout, std::string_view suffix = "") const override;
  std::vector<std::span<const float>> numbers() const override;

  static std::string sensitivity_name(const std::string& parameter);
  static std::string channel_steps_name(const std::string& parameter);
  static std::string low_name(const std::string& parameter);
  static std::vector<std::string> tensor_names(const std::string& parameter);
  static std::vector<std::string> optional_names(const std::string& parameter) {
    return {channel_steps_name(parameter), low_name(parameter)};
  }
  /// Throws Error(checkpoint).
  static Weights read(const TensorFile& file, const ArenaLayout& layout, int max_bits);
  /// Weights on a grid keep their widths and begin with its unit as the step; float weights get bits[slot] and the
  /// start step.
  static Weights convert(const Weights& from, const std::vector<int>& bits);
  /// The same for training, where slots of a fixed width have it although all of their weights are 0. `steps`:
  /// per_channel gives one to every channel of the filters that norms alone read (METHOD 13). A lopsided grid stays one
  /// under either range.
  static Weights convert(const Weights& from, const ArenaLayout& layout, const std::vector<int>& bits, LsqSteps steps,
                         LsqRange range = LsqRange::symmetric);

 private:
  std::vector<LsqTensorAtRest> tensors_;
};

}  // namespace bsq
