// Crop, flip and normalise: gathers a batch from the uint8 images that lie on the device.
//
// Least bytes: 1 read and the size of the output type written for every value, 4 + 4 per sample.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/random.h"

namespace bsq::cuda {
namespace {

constexpr int kThreads = 256;

/// A byte of a channel as the network sees it: factor * byte + shift. An IEEE division would take as long as all else.
struct PixelScale {
  float factor[3] = {};
  float shift[3] = {};

  explicit PixelScale(const AugmentRule& rule) {
    for (std::size_t channel = 0; channel < static_cast<std::size_t>(rule.channels); ++channel) {
      const double deviation = rule.std[channel];
      factor[channel] = static_cast<float>(1 / (255 * deviation));
      shift[channel] = static_cast<float>(-rule.mean[channel] / deviation);
    }
  }
};

/// Walks along the values of an augmented image.
struct Walk {
  const AugmentRule& rule;
  const PixelScale& scale;
  const std::uint8_t* image;
  CropFlip draw;
  int y = 0;
  int x = 0;
  int channel = 0;

  __device__ void go_to(int index) {
    const int pixel = index / rule.channels;
    channel = index - pixel * rule.channels;
    y = pixel / rule.width;
    x = pixel - y * rule.width;
  }
  /// The value at this place; moves on to the next one.
  __device__ float take() {
    const int from_y = y + draw.top - rule.crop_padding;
    const int from_x = (draw.flip ? rule.width - 1 - x : x) + draw.left - rule.crop_padding;
    const bool inside = from_y >= 0 && from_y < rule.height && from_x >= 0 && from_x < rule.width;
    const int byte = inside ? image[(from_y * rule.width + from_x) * rule.channels + channel] : 0;
    const float value = fmaf(static_cast<float>(byte), scale.factor[channel], scale.shift[channel]);
    if (++channel == rule.channels) {
      channel = 0;
      if (++x == rule.width) {
        x = 0;
        ++y;
      }
    }
    return value;
  }
};

// grid one block per sample, block kThreads, one thread per vector of the output at a time
template <typename T, int Width>
__global__ void augment_samples(AugmentRule rule, PixelScale scale, BatchRows source, const StepInputs* inputs,
                                T* output, std::int32_t* labels) {
  wait_for_previous();
  const std::int64_t place = inputs->first_sample + blockIdx.x;
  const std::int32_t row = source.rows[place], sample = source.samples[place];
  if (threadIdx.x == 0) labels[blockIdx.x] = source.labels[row];
  const int image_size = rule.height * rule.width * rule.channels;
  Walk walk{rule, scale, source.images + std::int64_t{row} * image_size,
            draw_crop_flip(rule.seed, rule.stream, inputs->epoch, sample, rule.crop_padding, rule.random_flip)};
  T* own = output + std::int64_t{blockIdx.x} * image_size;
  for (int index = static_cast<int>(threadIdx.x) * Width; index < image_size; index += kThreads * Width) {
    float value[Width];
    walk.go_to(index);
    for (int i = 0; i < Width; ++i) value[i] = walk.take();
    store<Width>(own + index, value);
  }
}

template <typename T>
void run(const AugmentArgs& args, cudaStream_t stream) {
  const int image_size = args.rule.height * args.rule.width * args.rule.channels;
  const auto kernel = image_size % kVectorWidth<T> == 0 ? augment_samples<T, kVectorWidth<T>> : augment_samples<T, 1>;
  launch(kernel, dim3(static_cast<unsigned>(args.batch)), dim3(kThreads), 0, stream, args.rule, PixelScale(args.rule),
         args.source, args.inputs, static_cast<T*>(args.output.data), args.labels);
}

}  // namespace

void augment(const AugmentArgs& args, const DeviceContext& on) {
  with_element(args.output.dtype, [&]<typename T>() { run<T>(args, on.stream); });
}

}  // namespace bsq::cuda
