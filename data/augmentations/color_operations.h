// Colours of a picture, changed as PIL and torchvision change those of 8-bit pictures, to the last bit. Those of gray
// ones as they do it in mode L, where saturation and hue stay as they are.
#pragma once

#include "data/augmentations/augmentation.h"

namespace bsq {

// torchvision's adjust_brightness, _contrast, _saturation and _sharpness: `factor` 1 leaves the picture as it is, 0
// makes it black, gray as its mean, gray, or smooth; more than 1 goes beyond, up to 0 and 255.
void adjust_brightness(const PictureView& picture, double factor);
void adjust_contrast(const PictureView& picture, double factor);
void adjust_saturation(const PictureView& picture, double factor);
/// Pixels at the edges stay as they are.
void adjust_sharpness(const PictureView& picture, double factor);

/// torchvision's adjust_hue: turns the hue by `turn` of the circle, from -0.5 to 0.5, in 8-bit HSV. Even a turn by 0
/// rounds.
void adjust_hue(const PictureView& picture, double turn);

/// torchvision's posterize: keeps the upper `bits` of every byte, 1 to 8.
void posterize(const PictureView& picture, int bits);
/// torchvision's solarize: levels from `threshold` on become 255 minus themselves.
void solarize(const PictureView& picture, double threshold);
/// torchvision's autocontrast: each channel is stretched to 0 .. 255.
void stretch_contrast(const PictureView& picture);
/// torchvision's equalize: each channel gets a flat histogram, as far as it can.
void equalize(const PictureView& picture);

}  // namespace bsq
