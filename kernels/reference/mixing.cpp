// The oracle: images of a batch mixed with each other. Contract: kernels/ops/mixing.h.
#include "kernels/reference/elements.h"
#include "kernels/reference/reference_backend.h"

namespace bsq {

void ReferenceBackend::mix_images(const MixImagesArgs& args) {
  const auto& [inputs, batch, images] = args;
  const BatchMix& mix = inputs->mix;
  const std::int64_t height = images.shape[1], width = images.shape[2], channels = images.shape[3];
  const std::int64_t image_size = height * width * channels;
  const double weight = mix.weight;
  for (std::int64_t first = 0; first < batch / 2; ++first) {
    for (std::int64_t e = 0; e < image_size; ++e) {
      const std::int64_t own = first * image_size + e, other = (batch - 1 - first) * image_size + e;
      const double a = reference::load(images.dtype, images.data, own);
      const double b = reference::load(images.dtype, images.data, other);
      const std::int64_t y = e / (width * channels), x = e / channels % width;
      const bool is_in_box = y >= mix.top && y < mix.top + mix.height && x >= mix.left && x < mix.left + mix.width;
      const double kept = mix.cuts != 0 ? (is_in_box ? 0 : 1) : weight;
      reference::store(images.dtype, images.data, own, kept * a + (1 - kept) * b);
      reference::store(images.dtype, images.data, other, kept * b + (1 - kept) * a);
    }
  }
}

}  // namespace bsq
