// The oracle: a batch of augmented samples. Contract: kernels/ops/augment.h.
#include "kernels/random.h"
#include "kernels/reference/elements.h"
#include "kernels/reference/reference_backend.h"

namespace bsq {

void ReferenceBackend::augment(const AugmentArgs& args) {
  const auto& [rule, source, inputs, batch, output, labels] = args;
  const std::int64_t image_size = std::int64_t{rule.height} * rule.width * rule.channels;
  for (int i = 0; i < batch; ++i) {
    const std::int32_t sample = source.order[inputs->first_sample + i];
    labels[i] = source.labels[sample];
    const CropFlip draw =
        draw_crop_flip(rule.seed, rule.stream, inputs->epoch, sample, rule.crop_padding, rule.random_flip);
    const std::uint8_t* image = source.images + sample * image_size;
    for (int y = 0; y < rule.height; ++y) {
      for (int x = 0; x < rule.width; ++x) {
        const int from_y = y + draw.top - rule.crop_padding;
        const int from_x = (draw.flip ? rule.width - 1 - x : x) + draw.left - rule.crop_padding;
        const bool inside = from_y >= 0 && from_y < rule.height && from_x >= 0 && from_x < rule.width;
        for (int c = 0; c < rule.channels; ++c) {
          const double pixel =
              inside ? image[(std::int64_t{from_y} * rule.width + from_x) * rule.channels + c] / 255.0 : 0.0;
          const auto channel = static_cast<std::size_t>(c);
          reference::store(output.dtype, output.data,
                           i * image_size + (std::int64_t{y} * rule.width + x) * rule.channels + c,
                           (pixel - rule.mean[channel]) / rule.std[channel]);
        }
      }
    }
  }
}

}  // namespace bsq
