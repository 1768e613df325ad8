// mixup and CutMix: the images of a batch, mixed with those of the batch in reverse.
#pragma once

#include "kernels/types.h"

namespace bsq {

/// mix_images: image i of `images` and image batch - 1 - i, which it is mixed with, in place, by m = inputs->mix. If
/// m.cuts they change their pixels of the box; else each becomes m.weight of itself and 1 - m.weight of the other. The
/// image in the middle of an odd batch stays as it is.
struct MixImagesArgs {
  const StepInputs* inputs = nullptr;
  int batch = 0;
  TensorView images;  // [batch, H, W, C], dense
};

}  // namespace bsq
