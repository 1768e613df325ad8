// The operations of a deployed network on the levels of one picture.
#pragma once

#include "engine/deployed/deployed_network.h"

#include <span>
#include <vector>

namespace bsq {

struct LevelImage {
  const DeployedTensor& tensor;
  std::span<const std::uint8_t> levels;  // [H, W, C]
  std::span<const float> numbers = {};   // in place of levels: a term that is not rounded
};

/// A filter as 16-bit numbers, each output channel filled up with zeros to a multiple of 16 numbers: what processors
/// multiply in pairs.
struct WideFilter {
  std::size_t length = 0;
  std::vector<std::int16_t> k;  // [O, length]
};
WideFilter wide_filter(const LevelConvolution& convolution);

void convolve(const LevelConvolution& convolution, const WideFilter& filter, const LevelImage& x,
              const DeployedTensor& y, std::span<std::uint8_t> levels);
/// The same with the float32 bias.
void convolve_fused(const LevelConvolution& convolution, const WideFilter& filter, const LevelImage& x,
                    const DeployedTensor& y, std::span<std::uint8_t> levels);
/// The same before it is rounded: the numbers that the levels stand for.
void convolve_to_numbers(const LevelConvolution& convolution, const WideFilter& filter, const LevelImage& x,
                         const DeployedTensor& y, std::span<float> numbers);
/// Any operation but a convolution.
void apply(const LevelOperation& operation, const std::vector<LevelImage>& inputs, const DeployedTensor& y,
           std::span<std::uint8_t> levels);

}  // namespace bsq
