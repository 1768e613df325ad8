// Crop, flip and normalise: gathers a batch from the uint8 images that lie on the device.
//
// Least bytes: 1 read and the size of the output type written for every value, 4 + 4 a sample.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/kernels.h"
#include "kernels/random.h"

namespace bsq::cuda {
namespace {

constexpr int kThreads = 256;

/// Where value `index` of the augmented image comes from; the value itself, normalised.
struct Augmented {
  const AugmentRule& rule;
  const std::uint8_t* image;
  CropFlip draw;

  __device__ float at(int index) const {
    const int channel = index % rule.channels;
    const int x = index / rule.channels % rule.width;
    const int y = index / (rule.channels * rule.width);
    const int from_y = y + draw.top - rule.crop_padding;
    const int from_x = (draw.flip ? rule.width - 1 - x : x) + draw.left - rule.crop_padding;
    const bool inside = from_y >= 0 && from_y < rule.height && from_x >= 0 && from_x < rule.width;
    const int byte = inside ? image[(from_y * rule.width + from_x) * rule.channels + channel] : 0;
    return (static_cast<float>(byte) / 255.0F - rule.mean.data()[channel]) / rule.std.data()[channel];
  }
};

// grid one block per sample, block kThreads, one thread per vector of the output at a time
template <typename T, int Width>
__global__ void augment_samples(AugmentRule rule, SampleSource source, const StepInputs* inputs, T* output,
                                std::int32_t* labels) {
  const std::int32_t sample = source.order[inputs->first_sample + blockIdx.x];
  if (threadIdx.x == 0) labels[blockIdx.x] = source.labels[sample];
  const int image_size = rule.height * rule.width * rule.channels;
  const Augmented augmented{
      rule, source.images + std::int64_t{sample} * image_size,
      draw_crop_flip(rule.seed, rule.stream, inputs->epoch, sample, rule.crop_padding, rule.random_flip)};
  T* own = output + std::int64_t{blockIdx.x} * image_size;
  for (int index = static_cast<int>(threadIdx.x) * Width; index < image_size; index += kThreads * Width) {
    float value[Width];
    for (int i = 0; i < Width; ++i) value[i] = augmented.at(index + i);
    store<Width>(own + index, value);
  }
}

template <typename T>
void run(const AugmentArgs& args, cudaStream_t stream) {
  const int image_size = args.rule.height * args.rule.width * args.rule.channels;
  const auto kernel = image_size % kVectorWidth<T> == 0 ? augment_samples<T, kVectorWidth<T>> : augment_samples<T, 1>;
  launch(kernel, dim3(static_cast<unsigned>(args.batch)), dim3(kThreads), 0, stream, args.rule, args.source,
         args.inputs, static_cast<T*>(args.output.data), args.labels);
}

}  // namespace

void augment(const AugmentArgs& args, cudaStream_t stream) {
  with_element(args.output.dtype, [&]<typename T>() { run<T>(args, stream); });
}

}  // namespace bsq::cuda
