// Building blocks of the kernels: 16-byte accesses, and reductions of a block and of a grid whose order never changes.
#pragma once

#include "kernels/cuda/device/port.h"
#include "kernels/cuda/device/warp.h"
#include "kernels/types.h"

#include <type_traits>

namespace bsq::cuda {

constexpr unsigned kFullMask = 0xFFFFFFFFU;

/// How many elements one access of 16 bytes moves: 4 floats or 8 bf16.
template <typename T>
inline constexpr int kVectorWidth = 16 / static_cast<int>(sizeof(T));

/// TensorUnit::value() on the device.
__device__ inline float value_of(const TensorUnit& unit) {
  return (unit.activation == nullptr ? 1.0F : *unit.activation) * (unit.weight == nullptr ? 1.0F : *unit.weight);
}

/// Calls body<T>() on the host, with the type that the elements of tensors of `dtype` have.
template <typename Body>
auto with_element(DType dtype, Body body) {
  return dtype == DType::bf16 ? body.template operator()<__nv_bfloat16>() : body.template operator()<float>();
}

// ---- loads and stores: Width is a power of two, kVectorWidth<T> at most; vectors are aligned to their size ----------

/// The data of one access, as it lies in memory: a thread holds several, and unpacks them when all reads are under way.
template <typename T, int Width>
using Raw = std::conditional_t<
    Width == 1, T,
    std::conditional_t<sizeof(T) * Width == 16, uint4, std::conditional_t<sizeof(T) * Width == 8, uint2, unsigned>>>;

template <int Width, typename T>
__device__ Raw<T, Width> load_raw(const T* from) {
  static_assert(sizeof(Raw<T, Width>) == sizeof(T) * Width);
  return *reinterpret_cast<const Raw<T, Width>*>(from);
}

__device__ inline void unpack(float raw, float (&to)[1]) {
  to[0] = raw;
}
__device__ inline void unpack(__nv_bfloat16 raw, float (&to)[1]) {
  to[0] = __bfloat162float(raw);
}
__device__ inline void unpack(const uint4& raw, float (&to)[4]) {
  to[0] = __uint_as_float(raw.x);
  to[1] = __uint_as_float(raw.y);
  to[2] = __uint_as_float(raw.z);
  to[3] = __uint_as_float(raw.w);
}
__device__ inline void unpack(const uint2& raw, float (&to)[2]) {
  to[0] = __uint_as_float(raw.x);
  to[1] = __uint_as_float(raw.y);
}
/// A bf16 is the upper half of a float; the first of two lies in the lower half.
__device__ inline void unpack_bf16(unsigned word, float& first, float& second) {
  first = __uint_as_float(word << 16);
  second = __uint_as_float(word & 0xFFFF0000U);
}
__device__ inline void unpack(const uint4& raw, float (&to)[8]) {
  const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
  for (int i = 0; i < 4; ++i) unpack_bf16(words[i], to[2 * i], to[2 * i + 1]);
}
__device__ inline void unpack(const uint2& raw, float (&to)[4]) {
  unpack_bf16(raw.x, to[0], to[1]);
  unpack_bf16(raw.y, to[2], to[3]);
}
__device__ inline void unpack(unsigned raw, float (&to)[2]) {
  unpack_bf16(raw, to[0], to[1]);
}

template <int Width, typename T>
__device__ void load(const T* from, float (&to)[Width]) {
  unpack(load_raw<Width>(from), to);
}

/// Loads `Width` floats that lie side by side, 4 per access if that divides them.
template <int Width>
__device__ void load_floats(const float* from, float (&to)[Width]) {
  constexpr int step = Width % kVectorWidth<float> == 0 ? kVectorWidth<float> : 1;
  for (int first = 0; first < Width; first += step) {
    float part[step];
    load<step>(from + first, part);
    for (int i = 0; i < step; ++i) to[first + i] = part[i];
  }
}

template <int Width>
__device__ void store(float* to, const float (&from)[Width]) {
  if constexpr (Width == 1) {
    *to = from[0];
  } else if constexpr (Width == 2) {
    *reinterpret_cast<float2*>(to) = make_float2(from[0], from[1]);
  } else {
    *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
  }
}

__device__ inline unsigned pack_bf16(float first, float second) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  return *reinterpret_cast<const unsigned*>(&pair);
}

template <int Width>
__device__ void store(__nv_bfloat16* to, const float (&from)[Width]) {
  if constexpr (Width == 1) {
    *to = __float2bfloat16_rn(from[0]);
  } else if constexpr (Width == 2) {
    *reinterpret_cast<unsigned*>(to) = pack_bf16(from[0], from[1]);
  } else if constexpr (Width == 4) {
    *reinterpret_cast<uint2*>(to) = make_uint2(pack_bf16(from[0], from[1]), pack_bf16(from[2], from[3]));
  } else {
    *reinterpret_cast<uint4*>(to) = make_uint4(pack_bf16(from[0], from[1]), pack_bf16(from[2], from[3]),
                                               pack_bf16(from[4], from[5]), pack_bf16(from[6], from[7]));
  }
}

/// Writes a gradient, or adds it to what is there.
template <int Width, typename T>
__device__ void store_gradient(T* to, const float (&gradient)[Width], GradMode mode) {
  float sum[Width] = {};
  if (mode == GradMode::accumulate) load<Width>(to, sum);
  for (int i = 0; i < Width; ++i) sum[i] = mode == GradMode::accumulate ? sum[i] + gradient[i] : gradient[i];
  store<Width>(to, sum);
}

// ---- reductions -----------------------------------------------------------------------------------------------------

struct Sum {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
/// A NaN wins, whichever side it is on.
struct Largest {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

/// Combines the values of the 32 lanes of a full warp; every lane gets the result.
template <typename T, typename Combine>
__device__ T reduce_warp(T value, Combine combine) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value = combine(value, __shfl_xor_sync(kFullMask, value, distance));
  return value;
}

/// Combines the values of a block of full warps; thread 0 gets the result. `shared` has one number per warp and is free
/// afterwards.
template <typename T, typename Combine>
__device__ T reduce_block(T value, T* shared, Combine combine) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  value = reduce_warp(value, combine);
  if (threadIdx.x % kWarp == 0) shared[warp] = value;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int other = 1; other < warps; ++other) value = combine(value, shared[other]);
  __syncthreads();
  return value;
}

// ---- sums of a grid: every block leaves its part in memory, and the last one to arrive adds them up, in an order that
// ---- does not depend on which one that is

/// Whether this block is the last of `blocks` to arrive at `counter`. All its threads get the answer, and if it is true
/// they may read what the threads of all these blocks wrote before. The counter is then 0 again, for the next kernel.
__device__ inline bool arrives_last(unsigned* counter, unsigned blocks) {
  BSQ_SHARED(bool, is_last, );
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();  // of what the block has written: the barrier has handed it to this thread
    is_last = atomicInc(counter, blocks - 1) == blocks - 1;
    __threadfence();
  }
  __syncthreads();
  return is_last;
}

/// Combines one number per block, of `count` blocks; thread 0 brings the number of its block. If `combine` is Largest,
/// no number is below 0. The last block to arrive gets the result in thread 0; all its threads are told that it is the
/// last. `numbers`: [count].
template <typename T, typename Combine>
__device__ bool combine_blocks(T& number, unsigned index, unsigned count, T* numbers, unsigned* counter,
                               Combine combine) {
  if (count == 1) return true;
  if (threadIdx.x == 0) numbers[index] = number;
  if (!arrives_last(counter, count)) return false;
  if (threadIdx.x < kWarp) {
    number = 0;
    for (unsigned block = threadIdx.x; block < count; block += kWarp) number = combine(number, numbers[block]);
    number = reduce_warp(number, combine);
  }
  return true;
}

}  // namespace bsq::cuda
