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

/// Any operation but a convolution.
void apply(const LevelOperation& operation, const std::vector<LevelImage>& inputs, const DeployedTensor& y,
           std::span<std::uint8_t> levels);

}  // namespace bsq
