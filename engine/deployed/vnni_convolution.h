// Sums of products of bytes by the instructions that x86 processors have for them (AVX-512 VNNI), four at a time,
// exact.
#pragma once

#include "engine/deployed/deployed_network.h"

#include <optional>
#include <span>
#include <vector>

namespace bsq {

class VnniConvolution {
 public:
  /// Nothing if this processor lacks the instructions, or for a convolution in groups.
  static std::optional<VnniConvolution> make(const LevelConvolution& convolution, const DeployedTensor& x,
                                             const DeployedTensor& y);

  /// The picture with its padding, as rows() wants it: pixels of a multiple of four channels.
  std::vector<std::uint8_t> padded(std::span<const std::uint8_t> x) const;
  /// sums [width of y, O] of one row: sum k (x - zero), without a bias.
  void add_up_row(std::span<const std::uint8_t> padded, int row, std::span<std::int32_t> sums) const;

 private:
  VnniConvolution(const LevelConvolution& convolution, const DeployedTensor& x, const DeployedTensor& y);

  int kernel_;
  int stride_;
  int padding_;
  const DeployedTensor* x_;
  int out_width_;
  int outputs_;
  int quads_;                        // of four channels each, per pixel
  int blocks_;                       // of 16 output channels
  std::vector<std::int8_t> k_;       // [blocks, kernel, kernel, quads, 16, 4]
  std::vector<std::int32_t> start_;  // [blocks 16]: -zero sum k
};

}  // namespace bsq
