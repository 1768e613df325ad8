// A rectangle of the mean colour at random, as torchvision's RandomErasing.
#pragma once

#include "data/augmentations/augmentation.h"

#include <optional>

namespace bsq {

struct RandomErasingConfig {
  double random_erasing = 0;  // probability
};

/// What is erased of one picture.
struct ErasedPart {
  int top = 0;
  int left = 0;
  int height = 0;
  int width = 0;
};

/// With this probability a rectangle of 0.02 to 0.33 of the area, of a height of 0.3 to 3.3 times its width, somewhere
/// in the picture; nothing where ten draws are as high or as wide as it.
std::optional<ErasedPart> draw_erased_part(int height, int width, double probability, PictureDraws& draws);

// The line of the table.
void add_random_erasing_keys(ConfigSchema& schema);
std::unique_ptr<const PictureAugmentation> make_random_erasing(const Config& config);

}  // namespace bsq
