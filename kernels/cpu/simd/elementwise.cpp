// The plain passes: augmentation, pooling, SGD on ordinary parameters, adding one tensor to another.
#include "kernels/cpu/simd/lanes.h"
#include "kernels/cpu/simd/variant.h"
#include "kernels/random.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

constexpr std::int64_t kChunk = 16384;  // elements of one unit of parallel work
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

template <typename T>
void pool_forward(const PoolGeometry& geometry, const T* input, float unit, float* output) {
  const int channels = geometry.channels;
#pragma omp parallel for schedule(static)
  for (int image = 0; image < geometry.batch; ++image) {
    const T* source = input + std::int64_t{1} * image * geometry.pixels * channels;
    float* target = output + std::int64_t{1} * image * channels;
    for (int channel = 0; channel < channels; channel += kLanes) {
      const int count = channels - channel < kLanes ? channels - channel : kLanes;
      FloatLanes sum{};
      for (int pixel = 0; pixel < geometry.pixels; ++pixel)
        sum += load_some(source + std::int64_t{1} * pixel * channels + channel, count);
      store_some(target + channel, sum * unit / static_cast<float>(geometry.pixels), count);
    }
  }
}

template <typename T>
void pool_backward(const PoolGeometry& geometry, const float* d_output, float unit, T* d_input) {
  const int channels = geometry.channels;
#pragma omp parallel for schedule(static)
  for (int image = 0; image < geometry.batch; ++image) {
    const float* source = d_output + std::int64_t{1} * image * channels;
    T* target = d_input + std::int64_t{1} * image * geometry.pixels * channels;
    for (int channel = 0; channel < channels; channel += kLanes) {
      const int count = channels - channel < kLanes ? channels - channel : kLanes;
      const FloatLanes share = load_some(source + channel, count) * unit / static_cast<float>(geometry.pixels);
      for (int pixel = 0; pixel < geometry.pixels; ++pixel)
        store_some(target + std::int64_t{1} * pixel * channels + channel, share, count);
    }
  }
}

/// Calls body(first element, lanes in use) for every sixteen elements, chunks in parallel.
template <typename Body>
BSQ_LANES_INLINE void parallel_lanes(std::int64_t numel, Body body) {
#pragma omp parallel for schedule(static)
  for (std::int64_t begin = 0; begin < numel; begin += kChunk) {
    const std::int64_t end = begin + kChunk < numel ? begin + kChunk : numel;
    std::int64_t index = begin;
    for (; index + kLanes <= end; index += kLanes) body.template operator()<true>(index, kLanes);
    if (index < end) body.template operator()<false>(index, static_cast<int>(end - index));
  }
}

template <typename T>
void accumulate_into(std::int64_t numel, const T* addend, T* sum) {
  parallel_lanes(numel, [=]<bool Full>(std::int64_t at, int count) {
    store_lanes<Full>(sum + at, load_lanes<Full>(sum + at, count) + load_lanes<Full>(addend + at, count), count);
  });
}

}  // namespace

void sgd_step(std::int64_t numel, const SgdRule& rule, float learning_rate, const float* gradient, float* parameter,
              float* momentum) {
  parallel_lanes(numel, [=]<bool Full>(std::int64_t at, int count) {
    const FloatLanes value = load_lanes<Full>(parameter + at, count);
    const FloatLanes speed = rule.momentum * load_lanes<Full>(momentum + at, count) +
                             load_lanes<Full>(gradient + at, count) + rule.weight_decay * value;
    store_lanes<Full>(momentum + at, speed, count);
    store_lanes<Full>(parameter + at, value - learning_rate * speed, count);
  });
}

void round_to_bf16(std::int64_t numel, const float* values, void* rounded) {
  auto* target = static_cast<Bf16*>(rounded);
  parallel_lanes(numel, [=]<bool Full>(std::int64_t at, int count) {
    store_lanes<Full>(target + at, load_lanes<Full>(values + at, count), count);
  });
}

void augment(const AugmentArgs& args) {
  args.output.dtype == DType::bf16 ? augment_batch<Bf16>(args) : augment_batch<float>(args);
}

void average_pool_forward(const PoolGeometry& geometry, const void* input, float unit, float* output) {
  geometry.dtype == DType::bf16 ? pool_forward(geometry, static_cast<const Bf16*>(input), unit, output)
                                : pool_forward(geometry, static_cast<const float*>(input), unit, output);
}

void average_pool_backward(const PoolGeometry& geometry, const float* d_output, float unit, void* d_input) {
  geometry.dtype == DType::bf16 ? pool_backward(geometry, d_output, unit, static_cast<Bf16*>(d_input))
                                : pool_backward(geometry, d_output, unit, static_cast<float*>(d_input));
}

void accumulate(DType dtype, std::int64_t numel, const void* addend, void* sum) {
  dtype == DType::bf16 ? accumulate_into(numel, static_cast<const Bf16*>(addend), static_cast<Bf16*>(sum))
                       : accumulate_into(numel, static_cast<const float*>(addend), static_cast<float*>(sum));
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
