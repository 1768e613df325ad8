// Average pooling.
#include "kernels/cpu/simd/gradients.h"
#include "kernels/cpu/simd/lanes.h"
#include "kernels/cpu/simd/units.h"
#include "kernels/cpu/simd/variant.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

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
void pool_backward(const PoolGeometry& geometry, const float* d_output, float unit, GradMode mode, T* d_input) {
  const int channels = geometry.channels;
#pragma omp parallel for schedule(static)
  for (int image = 0; image < geometry.batch; ++image) {
    const float* source = d_output + std::int64_t{1} * image * channels;
    T* target = d_input + std::int64_t{1} * image * geometry.pixels * channels;
    for (int channel = 0; channel < channels; channel += kLanes) {
      const int count = channels - channel < kLanes ? channels - channel : kLanes;
      const FloatLanes share = load_some(source + channel, count) * unit / static_cast<float>(geometry.pixels);
      for (int pixel = 0; pixel < geometry.pixels; ++pixel)
        store_gradient<false>(target + std::int64_t{1} * pixel * channels + channel, share, count, mode);
    }
  }
}

}  // namespace

void average_pool_forward(const PoolForwardArgs& args) {
  const float unit = value_of(args.unit);
  args.geometry.dtype == DType::bf16
      ? pool_forward(args.geometry, static_cast<const Bf16*>(args.input), unit, args.output)
      : pool_forward(args.geometry, static_cast<const float*>(args.input), unit, args.output);
}

void average_pool_backward(const PoolBackwardArgs& args) {
  const float unit = value_of(args.unit);
  args.geometry.dtype == DType::bf16
      ? pool_backward(args.geometry, args.d_output, unit, args.mode, static_cast<Bf16*>(args.d_input))
      : pool_backward(args.geometry, args.d_output, unit, args.mode, static_cast<float*>(args.d_input));
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
