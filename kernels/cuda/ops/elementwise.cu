// Passes over flat arrays: rounding to bf16 (float weights that a bf16 convolution multiplies) and back, and adding one
// gradient to another.
//
// round_to_bf16 reads 4 and writes 2 bytes an element, widen_bf16 the other way; add reads 2 e and writes e, e = bytes
// of an element.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kCastWidth = kVectorWidth<__nv_bfloat16>;  // one store of 16 bytes, two loads

unsigned blocks_of(std::int64_t numel, int width) {
  const std::int64_t per_block = std::int64_t{kThreads} * width;
  return static_cast<unsigned>((numel + per_block - 1) / per_block);
}

__device__ std::int64_t first_element(int width) {
  return (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * width;
}

// grid ceil(numel / (kCastWidth kThreads)), block kThreads, one thread per kCastWidth elements
__global__ void round_elements(std::int64_t numel, const float* from, __nv_bfloat16* to) {
  constexpr int half = kVectorWidth<float>;
  const std::int64_t first = first_element(kCastWidth);
  if (first + kCastWidth <= numel) {
    float low[half];
    float high[half];
    load<half>(from + first, low);
    load<half>(from + first + half, high);
    const float value[kCastWidth] = {low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]};
    store<kCastWidth>(to + first, value);
    return;
  }
  for (std::int64_t i = first; i < numel; ++i) to[i] = __float2bfloat16_rn(from[i]);
}

// grid ceil(numel / (kCastWidth kThreads)), block kThreads, one thread per kCastWidth elements
__global__ void widen_elements(std::int64_t numel, const __nv_bfloat16* from, float* to) {
  constexpr int half = kVectorWidth<float>;
  const std::int64_t first = first_element(kCastWidth);
  if (first + kCastWidth <= numel) {
    float value[kCastWidth];
    load<kCastWidth>(from + first, value);
    const float low[half] = {value[0], value[1], value[2], value[3]};
    const float high[half] = {value[4], value[5], value[6], value[7]};
    store<half>(to + first, low);
    store<half>(to + first + half, high);
    return;
  }
  for (std::int64_t i = first; i < numel; ++i) to[i] = __bfloat162float(from[i]);
}

template <int Width, typename T>
__device__ void add_at(const T* addend, T* sum) {
  float value[Width];
  float other[Width];
  load<Width>(sum, value);
  load<Width>(addend, other);
  for (int i = 0; i < Width; ++i) value[i] += other[i];
  store<Width>(sum, value);
}

// grid ceil(numel / (width kThreads)), block kThreads, one thread per vector
template <typename T>
__global__ void add_to(std::int64_t numel, const T* addend, T* sum) {
  constexpr int width = kVectorWidth<T>;
  const std::int64_t first = first_element(width);
  if (first + width <= numel) return add_at<width>(addend + first, sum + first);
  for (std::int64_t i = first; i < numel; ++i) add_at<1>(addend + i, sum + i);
}

template <typename T>
void run_add(std::int64_t numel, const void* addend, void* sum, cudaStream_t stream) {
  launch(add_to<T>, blocks_of(numel, kVectorWidth<T>), kThreads, 0, stream, numel, static_cast<const T*>(addend),
         static_cast<T*>(sum));
}

}  // namespace

void round_to_bf16(std::int64_t numel, const float* values, void* rounded, cudaStream_t stream) {
  if (numel == 0) return;  // a grid has a block at least
  launch(round_elements, blocks_of(numel, kCastWidth), kThreads, 0, stream, numel, values,
         static_cast<__nv_bfloat16*>(rounded));
}

void widen_bf16(std::int64_t numel, const void* rounded, float* values, cudaStream_t stream) {
  if (numel == 0) return;
  launch(widen_elements, blocks_of(numel, kCastWidth), kThreads, 0, stream, numel,
         static_cast<const __nv_bfloat16*>(rounded), values);
}

void add(DType dtype, std::int64_t numel, const void* addend, void* sum, cudaStream_t stream) {
  if (numel == 0) return;
  with_element(dtype, [&]<typename T>() { run_add<T>(numel, addend, sum, stream); });
}

}  // namespace bsq::cuda
