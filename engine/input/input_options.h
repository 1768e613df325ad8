// How images become the input of a network: everything of an AugmentRule but the randomness.
#pragma once

#include "kernels/ops/augment.h"

#include <array>

namespace bsq {

struct InputOptions {
  int height = 32;
  int width = 32;
  std::array<float, 3> mean{};
  std::array<float, 3> std{};
};

/// Normalisation without crop or flip.
inline AugmentRule plain_input(const InputOptions& options) {
  return {.height = options.height, .width = options.width, .mean = options.mean, .std = options.std};
}

}  // namespace bsq
