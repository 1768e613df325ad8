// Images mixed with each other: pairs of a batch, sixteen numbers at a time.
#include "kernels/cpu/simd/lanes.h"
#include "kernels/cpu/simd/variant.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

/// Both become `weight` of themselves and the rest of the other.
template <typename T>
void blend(std::int64_t numel, float weight, T* first, T* second) {
  const float rest = 1.0F - weight;
  for (std::int64_t at = 0; at < numel; at += kLanes) {
    const int count = numel - at < kLanes ? static_cast<int>(numel - at) : kLanes;
    const FloatLanes a = load_some(first + at, count), b = load_some(second + at, count);
    store_some(first + at, weight * a + rest * b, count);
    store_some(second + at, weight * b + rest * a, count);
  }
}

template <typename T>
void exchange(std::int64_t numel, T* first, T* second) {
  for (std::int64_t at = 0; at < numel; ++at) {
    const T kept = first[at];
    first[at] = second[at];
    second[at] = kept;
  }
}

template <typename T>
void mix_pair(const BatchMix& mix, const TensorView& images, T* first, T* second) {
  const std::int64_t width = images.shape.dims.data()[2], channels = images.shape.dims.data()[3];
  if (mix.cuts == 0) return blend(images.shape.dims.data()[1] * width * channels, mix.weight, first, second);
  for (std::int64_t row = mix.top; row < mix.top + mix.height; ++row) {
    const std::int64_t start = (row * width + mix.left) * channels;
    exchange(mix.width * channels, first + start, second + start);
  }
}

template <typename T>
void mix_batch(const MixImagesArgs& args) {
  const std::int64_t* dims = args.images.shape.dims.data();
  const std::int64_t image_size = dims[1] * dims[2] * dims[3];
  T* images = static_cast<T*>(args.images.data);
#pragma omp parallel for schedule(static)
  for (int i = 0; i < args.batch / 2; ++i)
    mix_pair(args.inputs->mix, args.images, images + i * image_size, images + (args.batch - 1 - i) * image_size);
}

}  // namespace

void mix_images(const MixImagesArgs& args) {
  args.images.dtype == DType::bf16 ? mix_batch<Bf16>(args) : mix_batch<float>(args);
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
