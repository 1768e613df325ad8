// Augmentation: a batch of random crops and flips, from images in device memory.
#pragma once

#include "kernels/types.h"

namespace bsq {

/// Crop, flip and normalise (uint8 -> (x / 255 - mean) / std, zero padding before normalisation).
struct AugmentRule {
  int height = 0;
  int width = 0;
  int channels = 3;             // 1 to 3
  int crop_padding = 0;         // 0: no random crop
  bool random_flip = false;     // horizontal, p = 1/2
  std::array<float, 3> mean{};  // per channel
  std::array<float, 3> std{};   // per channel
  std::uint64_t seed = 0;       // Philox key
  std::uint32_t stream = 0;     // Philox stream, see random.h
};

/// Images in device memory, and the order in which an epoch visits them: where each lies, and its number in the set.
struct BatchRows {
  const std::uint8_t* images = nullptr;  // [M, H, W, C], M rows
  const std::int32_t* labels = nullptr;  // [M]
  const std::int32_t* rows = nullptr;    // row of each sample of the epoch; a batch is rows[first_sample ...]
  const std::int32_t* samples =
      nullptr;  // its number in the set; the same as `rows` if all images lie in order of the set
};

/// augment: gathers the images in rows[first_sample + i], i < batch: output [batch, H, W, C] of its dtype, labels
/// [batch]. Crop and flip are keyed by (rule.seed, rule.stream, epoch, samples[first_sample + i]), see draw_crop_flip
/// in random.h.
struct AugmentArgs {
  AugmentRule rule;
  BatchRows source;
  const StepInputs* inputs = nullptr;
  int batch = 0;
  TensorView output;
  std::int32_t* labels = nullptr;
};

}  // namespace bsq
