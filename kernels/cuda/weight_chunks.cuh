// Quantized weights of all tensors in one launch: a block takes one chunk of one tensor.
//
// u (2^n - 1) = sum_b 2^(n-1-b) (p_b - n_b) is summed with powers of two, so that exact 0/1 planes give exact integers.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/types.h"

#include <cstdint>
#include <span>

namespace bsq::cuda {

constexpr int kChunkThreads = 256;
constexpr int kChunkWeights = kChunkThreads * kVectorWidth<float>;  // every thread takes one vector of each plane
constexpr int kMaxBits = 8;

__host__ __device__ inline std::int64_t chunks_of(std::int64_t numel) {
  return (numel + kChunkWeights - 1) / kChunkWeights;
}

template <typename Tensor>
std::int64_t total_chunks(std::span<const Tensor> tensors) {
  std::int64_t chunks = 0;
  for (const Tensor& tensor : tensors) chunks += chunks_of(tensor.numel);
  return chunks;
}

/// Where a chunk lies: tensor `tensor`, weights begin ... of it. The tables are short and stay in the first cache.
struct Chunk {
  int tensor = 0;
  std::int64_t begin = 0;

  template <typename Tensor>
  __device__ Chunk(const Tensor* tensors, std::int64_t index) {
    while (index >= chunks_of(tensors[tensor].numel)) index -= chunks_of(tensors[tensor++].numel);
    begin = index * kChunkWeights;
  }
};

/// Whether every access of a whole vector is aligned: planes follow each other at a distance of numel.
__device__ inline bool made_of_vectors(const PlaneTensor& tensor) {
  return (tensor.numel | tensor.plane_offset | tensor.weight_offset) % kVectorWidth<float> == 0;
}
__device__ inline bool made_of_vectors(const FixedTensor& tensor) {
  return (tensor.numel | tensor.weight_offset) % kVectorWidth<float> == 0;
}

/// Calls body<Width>(index) for this thread's weights of a chunk: one vector where the tensor is made of whole ones,
/// otherwise one weight at a time.
template <typename Tensor, typename Body>
__device__ void for_chunk(const Chunk& chunk, const Tensor& tensor, Body body) {
  constexpr int width = kVectorWidth<float>;
  if (made_of_vectors(tensor)) {
    const std::int64_t index = chunk.begin + static_cast<int>(threadIdx.x) * width;
    if (index < tensor.numel) body.template operator()<width>(index);
    return;
  }
  for (int i = 0; i < width; ++i) {
    const std::int64_t index = chunk.begin + i * kChunkThreads + static_cast<int>(threadIdx.x);
    if (index < tensor.numel) body.template operator()<1>(index);
  }
}

/// Calls body<Bits>() for bits in 1..8; the same for all threads of a block.
template <typename Body>
__device__ void dispatch_bits(int bits, Body body) {
  switch (bits) {
    case 1: return body.template operator()<1>();
    case 2: return body.template operator()<2>();
    case 3: return body.template operator()<3>();
    case 4: return body.template operator()<4>();
    case 5: return body.template operator()<5>();
    case 6: return body.template operator()<6>();
    case 7: return body.template operator()<7>();
    default: return body.template operator()<8>();
  }
}

/// q = sign(u) round(min(|u| levels, levels)) / levels, from u levels; levels = 2^n - 1.
__device__ inline float quantize(float scaled, float levels) {
  const float magnitude = fabsf(scaled);
  return copysignf(rintf(magnitude > levels ? levels : magnitude) / levels, scaled);
}

/// SGD with momentum: the velocity is written, the moved value returned.
__device__ inline float sgd_moved(float value, float gradient_and_decay, float momentum, float learning_rate,
                                  float& velocity) {
  velocity = fmaf(momentum, velocity, gradient_and_decay);
  return fmaf(-learning_rate, velocity, value);
}

__device__ inline float clamped(float value, float low, float high) {
  return value < low ? low : value > high ? high : value;
}

/// Adds up a tensor's partial sums, one a chunk, `stride` floats apart; all lanes of a full warp call it.
__device__ inline double sum_of_chunks(const float* partials, std::int64_t chunks, int stride) {
  double sum = 0;
  for (std::int64_t chunk = static_cast<int>(threadIdx.x) % kWarp; chunk < chunks; chunk += kWarp)
    sum += partials[chunk * stride];
  return reduce_warp(sum, Sum());
}

}  // namespace bsq::cuda
