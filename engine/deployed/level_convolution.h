// Convolutions of levels on one picture: exact sums in 32 bits, then levels or numbers. The processor decides how they
// are added up, never what comes out.
#pragma once

#include "engine/deployed/deployed_network.h"
#include "engine/deployed/vnni_convolution.h"

#include <optional>
#include <span>
#include <vector>

namespace bsq {

/// Which levels become of sums.
enum class SumUse : std::uint8_t {
  levels,        // METHOD 16
  fused_levels,  // the same with the float32 bias
};

/// A convolution with its filter as the loops of a processor want it. `tensors` of the network must outlive it.
class PlannedConvolution {
 public:
  /// `portable`: as on a processor without instructions for products of bytes.
  PlannedConvolution(const LevelConvolution& convolution, const DeployedTensor& x, const DeployedTensor& y,
                     bool portable = false);

  /// x and levels: [H, W, C].
  void run(std::span<const std::uint8_t> x, SumUse use, std::span<std::uint8_t> levels) const;
  /// With the float32 bias, before they are rounded.
  void run(std::span<const std::uint8_t> x, std::span<float> numbers) const;

 private:
  /// Calls take(place in y, sums [width of y, O], without a bias) for every row of y.
  template <typename Take>
  void for_rows(std::span<const std::uint8_t> x, Take take) const;
  void add_up_row(std::span<const std::uint8_t> x, int row, std::span<std::int32_t> sums) const;

  const LevelConvolution& convolution_;
  const DeployedTensor& x_;
  const DeployedTensor& y_;
  std::vector<std::int32_t> row_bias_;  // [width of y, O]
  std::vector<float> row_multiplier_;   // likewise
  std::optional<VnniConvolution> vnni_;
  std::size_t length_ = 0;          // of the filter of one output channel, filled up with zeros
  std::vector<std::int16_t> wide_;  // [O, length]: what any processor multiplies in pairs
};

}  // namespace bsq
