// Quantized weights of all tensors in one launch: a block takes one chunk of one tensor.
//
// u (2^n - 1) = sum_b 2^(n-1-b) (p_b - n_b) is summed with powers of two, so that exact 0/1 planes give exact integers.
#pragma once

#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/ops/operations.h"

#include <cstdint>
#include <span>

namespace bsq::cuda {

constexpr int kChunkThreads = 128;
constexpr int kChunkWarps = kChunkThreads / kWarp;
constexpr int kChunkWeights = kChunkThreads * kVectorWidth<float>;  // every thread takes one vector of each plane

__host__ __device__ inline std::int64_t chunks_of(std::int64_t numel) {
  return (numel + kChunkWeights - 1) / kChunkWeights;
}

/// How many parts of a tensor have numbers of their own, each its own chunks.
template <typename Tensor>
__host__ __device__ std::int64_t rows_of(const Tensor& tensor) {
  if constexpr (requires { tensor.rows; }) return tensor.rows;
  return 1;
}

template <typename Tensor>
__host__ __device__ std::int64_t row_numel(const Tensor& tensor) {
  return rows_of(tensor) == 1 ? tensor.numel : tensor.numel / rows_of(tensor);
}

template <typename Tensor>
__host__ __device__ std::int64_t chunks_of_tensor(const Tensor& tensor) {
  return rows_of(tensor) * chunks_of(row_numel(tensor));
}

template <typename Tensor>
std::int64_t total_chunks(std::span<const Tensor> tensors) {
  std::int64_t chunks = 0;
  for (const Tensor& tensor : tensors) chunks += chunks_of_tensor(tensor);
  return chunks;
}

/// Throws Error unless kernels that visit all tensors at once can take so many; called when scratch memory is sized.
template <typename Tensor>
void check_tensors(std::span<const Tensor> tensors) {
  if (tensors.size() > GridMemory::kMostTensors) fail_tensor_count(tensors.size(), GridMemory::kMostTensors);
}

/// The chunk of a block: weights of tensor `tensor` from `begin` on, within the row that ends before `end`. All lanes
/// of a warp search for it together, each at a tensor of its own. That is as fast as a table of chunks: one read, and
/// of a table that is needed next anyway.
struct Chunk {
  int tensor = 0;
  std::int64_t first = 0;  // index of the tensor's first chunk
  std::int64_t count = 0;  // chunks of the tensor
  std::int64_t row = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;

  struct All {
    template <typename Tensor>
    __device__ bool operator()(const Tensor&) const {
      return true;
    }
  };

  /// `counts` says which tensors have chunks at all.
  template <typename Tensor, typename Counts = All>
  __device__ Chunk(const Tensor* tensors, int num_tensors, Counts counts = {}) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const auto index = static_cast<std::int64_t>(blockIdx.x);
    for (int base = 0;; base += kWarp) {
      std::int64_t own = 0;
      if (base + lane < num_tensors && counts(tensors[base + lane])) own = chunks_of_tensor(tensors[base + lane]);
      std::int64_t last = own;  // the number behind the last chunk of this lane's tensor
      for (int distance = 1; distance < kWarp; distance *= 2) {
        const std::int64_t before = __shfl_up_sync(kFullMask, last, distance);
        if (lane >= distance) last += before;
      }
      const unsigned past = __ballot_sync(kFullMask, index < first + last);
      if (past == 0) {
        first += __shfl_sync(kFullMask, last, kWarp - 1);
        continue;
      }
      const int found = __ffs(static_cast<int>(past)) - 1;
      tensor = base + found;
      count = __shfl_sync(kFullMask, own, found);
      first += __shfl_sync(kFullMask, last, found) - count;
      place(tensors[tensor], index - first);
      return;
    }
  }

 private:
  /// Of the chunk `index` of its tensor.
  template <typename Tensor>
  __device__ void place(const Tensor& of, std::int64_t index) {
    if constexpr (requires { of.rows; }) {
      const std::int64_t chunks = count / of.rows;
      row = index / chunks;
      index -= row * chunks;
    }
    const std::int64_t numel = row_numel(of);
    begin = row * numel + index * kChunkWeights;
    end = (row + 1) * numel;
  }
};

/// Whether every access of a whole vector is aligned: rows, and planes, where a tensor has any, follow each other at a
/// distance of their size.
template <typename Tensor>
__device__ bool made_of_vectors(const Tensor& tensor) {
  std::int64_t offsets = row_numel(tensor) | tensor.weight_offset;
  if constexpr (requires { tensor.plane_offset; }) offsets |= tensor.plane_offset;
  return offsets % kVectorWidth<float> == 0;
}

/// Calls body<Width>(index) for this thread's weights of a chunk: with one vector if the tensor is made of whole ones,
/// otherwise with one weight at a time.
template <typename Tensor, typename Body>
__device__ void for_chunk(const Chunk& chunk, const Tensor& tensor, Body body) {
  constexpr int width = kVectorWidth<float>;
  if (made_of_vectors(tensor)) {
    const std::int64_t index = chunk.begin + static_cast<int>(threadIdx.x) * width;
    if (index < chunk.end) body.template operator()<width>(index);
    return;
  }
  for (int i = 0; i < width; ++i) {
    const std::int64_t index = chunk.begin + i * kChunkThreads + static_cast<int>(threadIdx.x);
    if (index < chunk.end) body.template operator()<1>(index);
  }
}

/// Calls body<Bits>() for bits in 1..8, which are the same for all threads of a block.
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

/// The integer level q (2^n - 1) = sign(u) round(min(|u| levels, levels)), from u levels; levels = 2^n - 1.
__device__ inline float level_of(float scaled, float levels) {
  const float magnitude = fabsf(scaled);
  return copysignf(rintf(magnitude > levels ? levels : magnitude), scaled);
}

/// Stores half a vector of bf16, made of a whole one of floats.
__device__ inline void store_half(__nv_bfloat16* to, const float (&from)[4]) {
  *reinterpret_cast<uint2*>(to) = make_uint2(pack_bf16(from[0], from[1]), pack_bf16(from[2], from[3]));
}
__device__ inline void store_half(__nv_bfloat16* to, const float (&from)[1]) {
  *to = __float2bfloat16_rn(from[0]);
}

/// Writes the weights of a tensor from `index` on: s q, or the integers that s / levels is the unit of.
template <int Width, typename Tensor>
__device__ void store_weights(const Tensor& tensor, float* weights, std::int64_t index, float (&level)[Width],
                              float scale, float levels) {
  float* target = weights + tensor.weight_offset;
  if (tensor.storage == WeightStorage::integers_bf16)
    return store_half(reinterpret_cast<__nv_bfloat16*>(target) + index, level);
  if (tensor.storage == WeightStorage::values)
    for (int i = 0; i < Width; ++i) level[i] = scale * (level[i] / levels);
  store<Width>(target + index, level);
}

/// The factors of a gradient of stored weights.
struct GradientFactors {
  float to_u;     // makes it dL / du
  float to_true;  // makes it dW

  __device__ GradientFactors(WeightStorage storage, float scale, float levels) : to_u(scale), to_true(1.0F) {
    if (storage == WeightStorage::values) return;
    to_u = levels;
    to_true = scale == 0.0F ? 0.0F : levels / scale;
  }
};

/// A step of the rule: the velocity is written, the moved value returned.
__device__ inline float sgd_moved(float value, float gradient_and_decay, const SgdRule& rule, float learning_rate,
                                  float& velocity) {
  velocity = fmaf(rule.momentum, velocity, gradient_and_decay);
  const float move = rule.nesterov ? fmaf(rule.momentum, velocity, gradient_and_decay) : velocity;
  return fmaf(-learning_rate, move, value);
}

__device__ inline float clamped(float value, float low, float high) {
  return value < low ? low : value > high ? high : value;
}

/// Stores the sums, one per plane, that the threads of a chunk have added up, at kMaxBits per chunk.
template <int Bits>
__device__ void leave_sums(const float (&sums)[Bits], float* partials) {
  BSQ_SHARED(float, shared, [kMaxBits][kChunkWarps]);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
#pragma unroll
  for (int bit = 0; bit < Bits; ++bit) {
    const float sum = reduce_warp(sums[bit], Sum());
    if (threadIdx.x % kWarp == 0) shared[bit][warp] = sum;
  }
  __syncthreads();
  if (static_cast<int>(threadIdx.x) >= Bits) return;
  float sum = 0;
  for (int other = 0; other < kChunkWarps; ++other) sum += shared[threadIdx.x][other];
  partials[std::int64_t{blockIdx.x} * kMaxBits + threadIdx.x] = sum;
}

/// Adds up a tensor's partial sums, one per chunk, `stride` floats apart; all lanes of a full warp call it.
__device__ inline double sum_of_chunks(const float* partials, std::int64_t chunks, int stride) {
  double sum = 0;
#pragma unroll 8
  for (std::int64_t chunk = static_cast<int>(threadIdx.x) % kWarp; chunk < chunks; chunk += kWarp)
    sum += partials[chunk * stride];
  return reduce_warp(sum, Sum());
}

}  // namespace bsq::cuda
