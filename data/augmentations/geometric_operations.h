// Places of a picture, moved as torchvision's affine and rotate move those of PIL pictures: the nearest pixel, to the
// last bit, and black where there is none.
#pragma once

#include "data/augmentations/augmentation.h"

namespace bsq {

/// Row y moves to the left by `slope` y, column 0 of row 0 staying where it is.
void shear_rows(const PictureView& picture, double slope);
/// Column x moves up by `slope` x.
void shear_columns(const PictureView& picture, double slope);
/// To the right and down, by whole pixels.
void translate(const PictureView& picture, int right, int down);
/// Around its middle, against the clock.
void rotate(const PictureView& picture, double degrees);

}  // namespace bsq
