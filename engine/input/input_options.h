// How images become the input of a network: everything of an AugmentRule but the randomness.
#pragma once

#include "kernels/base/error.h"
#include "kernels/ops/augment.h"

#include <algorithm>
#include <vector>

namespace bsq {

struct InputOptions {
  int height = 32;
  int width = 32;
  std::vector<float> mean = {0, 0, 0};  // [channels]
  std::vector<float> std = {1, 1, 1};   // [channels]

  int channels() const { return static_cast<int>(mean.size()); }
};

/// Normalisation without crop or flip.
inline AugmentRule plain_input(const InputOptions& options) {
  AugmentRule rule{.height = options.height, .width = options.width, .channels = options.channels()};
  require(options.mean.size() <= rule.mean.size() && options.std.size() == options.mean.size(),
          "{} means and {} deviations of channels", options.mean.size(), options.std.size());
  std::ranges::copy(options.mean, rule.mean.begin());
  std::ranges::copy(options.std, rule.std.begin());
  return rule;
}

}  // namespace bsq
