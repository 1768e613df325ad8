// Augmentation: crop, flip and normalise.
#include "kernels/cpu/simd/lanes.h"
#include "kernels/cpu/simd/variant.h"
#include "kernels/random.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

constexpr int kMaxChannels = 4;

/// (value / 255 - mean) / std for every byte and channel.
struct NormalizeTable {
  float value[kMaxChannels][256];

  explicit NormalizeTable(const AugmentRule& rule) {
    for (int channel = 0; channel < rule.channels; ++channel) {
      const float mean = rule.mean.data()[channel];
      const float std = rule.std.data()[channel];
      for (int byte = 0; byte < 256; ++byte) value[channel][byte] = (static_cast<float>(byte) / 255.0F - mean) / std;
    }
  }
};

BSQ_LANES_INLINE void put(float* target, float value) {
  *target = value;
}
BSQ_LANES_INLINE void put(Bf16* target, float value) {
  store_some(target, broadcast(value), 1);
}

template <typename T>
void augment_sample(const AugmentArgs& args, const NormalizeTable& table, std::int32_t sample, T* output) {
  const AugmentRule& rule = args.rule;
  const int channels = rule.channels;
  const std::uint8_t* image =
      args.source.images + static_cast<std::int64_t>(sample) * rule.height * rule.width * channels;
  const CropFlip crop =
      draw_crop_flip(rule.seed, rule.stream, args.inputs->epoch, sample, rule.crop_padding, rule.random_flip);
  for (int row = 0; row < rule.height; ++row) {
    const int source_row = row + crop.top - rule.crop_padding;
    const bool row_inside = source_row >= 0 && source_row < rule.height;
    for (int column = 0; column < rule.width; ++column) {
      const int source_column = (crop.flip ? rule.width - 1 - column : column) + crop.left - rule.crop_padding;
      const bool inside = row_inside && source_column >= 0 && source_column < rule.width;
      const std::uint8_t* pixel = image + (source_row * rule.width + source_column) * channels;
      for (int channel = 0; channel < channels; ++channel)
        put(output++, table.value[channel][inside ? pixel[channel] : 0]);
    }
  }
}

template <typename T>
void augment_batch(const AugmentArgs& args) {
  const NormalizeTable table(args.rule);
  const std::int64_t image_size = std::int64_t{1} * args.rule.height * args.rule.width * args.rule.channels;
#pragma omp parallel for schedule(static)
  for (int i = 0; i < args.batch; ++i) {
    const std::int32_t sample = args.source.order[args.inputs->first_sample + i];
    augment_sample(args, table, sample, static_cast<T*>(args.output.data) + i * image_size);
    args.labels[i] = args.source.labels[sample];
  }
}

}  // namespace

void augment(const AugmentArgs& args) {
  args.output.dtype == DType::bf16 ? augment_batch<Bf16>(args) : augment_batch<float>(args);
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
