// How the batches of training are mixed: mixup (Zhang et al., 2018) and CutMix (Yun et al., 2019), drawn per step.
#pragma once

#include "engine/input/dataset.h"
#include "kernels/types.h"

namespace bsq {

/// The alphas of their Beta(alpha, alpha); 0: off.
struct Mixing {
  double mixup = 0;
  double cutmix = 0;

  bool is_on() const { return mixup > 0 || cutmix > 0; }
};

/// What step `step` of an epoch does with images of this size; of two that are on, one with probability 1/2. As
/// torchvision's MixUp and CutMix: the box has its middle anywhere, and is cut off at the edges; its weight is the area
/// that is left.
BatchMix draw_batch_mix(const Mixing& mixing, int height, int width, const AugmentKey& key, std::int64_t step);

}  // namespace bsq
