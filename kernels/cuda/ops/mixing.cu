// Images mixed with each other: pairs of a batch, in place.
//
// Least bytes: every number read and written once.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {
namespace {

constexpr int kMixThreads = 256;

/// What a pixel keeps of itself.
struct KeptShare {
  BatchMix mix;
  int width;
  int channels;

  __device__ float at(int index) const {
    if (mix.cuts == 0) return mix.weight;
    const int pixel = index / channels;
    const int row = pixel / width - mix.top, column = pixel % width - mix.left;
    return row >= 0 && row < mix.height && column >= 0 && column < mix.width ? 0.0F : 1.0F;
  }
};

// grid one block per pair, block kMixThreads, one thread per vector of both images at a time
template <typename T, int Width>
__global__ void mix_pairs(const StepInputs* inputs, int batch, int image_size, int width, int channels, T* images) {
  wait_for_previous();
  const KeptShare share{inputs->mix, width, channels};
  T* first = images + std::int64_t{blockIdx.x} * image_size;
  T* second = images + (std::int64_t{batch} - 1 - blockIdx.x) * image_size;
  for (int index = static_cast<int>(threadIdx.x) * Width; index < image_size; index += kMixThreads * Width) {
    float a[Width], b[Width];
    load<Width>(first + index, a);
    load<Width>(second + index, b);
    for (int i = 0; i < Width; ++i) {
      const float kept = share.at(index + i), rest = 1.0F - kept;
      const float own = a[i];
      a[i] = fmaf(kept, own, rest * b[i]);
      b[i] = fmaf(kept, b[i], rest * own);
    }
    store<Width>(first + index, a);
    store<Width>(second + index, b);
  }
}

template <typename T>
void run_mix(const MixImagesArgs& args, cudaStream_t stream) {
  const int width = static_cast<int>(args.images.shape[2]), channels = static_cast<int>(args.images.shape[3]);
  const int image_size = static_cast<int>(args.images.shape[1]) * width * channels;
  const auto kernel = image_size % kVectorWidth<T> == 0 ? mix_pairs<T, kVectorWidth<T>> : mix_pairs<T, 1>;
  launch(kernel, dim3(static_cast<unsigned>(args.batch / 2)), dim3(kMixThreads), 0, stream, args.inputs, args.batch,
         image_size, width, channels, static_cast<T*>(args.images.data));
}

}  // namespace

void mix_images(const MixImagesArgs& args, const DeviceContext& on) {
  if (args.batch < 2) return;  // a grid cannot be empty
  with_element(args.images.dtype, [&]<typename T>() { run_mix<T>(args, on.stream); });
}

}  // namespace bsq::cuda
