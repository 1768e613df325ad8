// Brightness, contrast, saturation and hue at random, as torchvision's ColorJitter.
#pragma once

#include "data/augmentations/augmentation.h"

#include <array>
#include <vector>

namespace bsq {

struct ColorJitterConfig {
  std::vector<double> color_jitter = {0, 0, 0, 0};  // brightness, contrast, saturation, hue; 0: left as it is
};

/// What is done to one picture.
struct ColorJitterDraw {
  std::array<int, 4> order{};       // a permutation of brightness, contrast, saturation and hue as 0 .. 3
  std::array<double, 4> factors{};  // by these numbers; of the hue the turn
};

/// `ranges`: ColorJitterConfig::color_jitter. Factors of range r are uniform in max(0, 1 - r) .. 1 + r, the turn in -r
/// .. r; orders are equally likely.
ColorJitterDraw draw_color_jitter(const std::vector<double>& ranges, PictureDraws& draws);

// The line of the table.
void add_color_jitter_keys(ConfigSchema& schema);
std::unique_ptr<const PictureAugmentation> make_color_jitter(const Config& config);

}  // namespace bsq
