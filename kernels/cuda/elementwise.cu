// float32 to bf16, rounded to nearest even: the weights that a bf16 convolution multiplies.
//
// Flat arrays of numel elements. Reads 4 and writes 2 bytes an element.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/kernels.h"

namespace bsq::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWidth = kVectorWidth<__nv_bfloat16>;  // one store of 16 bytes, two loads

// grid ceil(numel / (kWidth kThreads)), block kThreads, one thread per kWidth elements
__global__ void round_to_bf16(std::int64_t numel, const float* from, __nv_bfloat16* to) {
  const std::int64_t first = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * kWidth;
  if (first + kWidth <= numel) {
    constexpr int half = kVectorWidth<float>;
    float low[half];
    float high[half];
    float value[kWidth];
    load<half>(from + first, low);
    load<half>(from + first + half, high);
    for (int i = 0; i < half; ++i) {
      value[i] = low[i];
      value[half + i] = high[i];
    }
    store<kWidth>(to + first, value);
    return;
  }
  for (std::int64_t i = first; i < numel; ++i) to[i] = __float2bfloat16_rn(from[i]);
}

}  // namespace

void cast_to_bf16(std::int64_t numel, const float* from, void* to, cudaStream_t stream) {
  if (numel == 0) return;  // a grid has a block at least
  constexpr std::int64_t per_block = std::int64_t{kThreads} * kWidth;
  const auto blocks = static_cast<unsigned>((numel + per_block - 1) / per_block);
  launch(round_to_bf16, dim3(blocks), dim3(kThreads), 0, stream, numel, from, static_cast<__nv_bfloat16*>(to));
}

}  // namespace bsq::cuda
