// Building blocks of the kernels: 16-byte accesses, and reductions of a block whose order never changes.
#pragma once

#include "kernels/cuda/port.h"
#include "kernels/types.h"

namespace bsq::cuda {

constexpr int kWarp = 32;
constexpr unsigned kFullMask = 0xFFFFFFFFU;

/// How many elements one access of 16 bytes moves: 4 floats or 8 bf16.
template <typename T>
inline constexpr int kVectorWidth = 16 / static_cast<int>(sizeof(T));

/// TensorUnit::value() on the device.
__device__ inline float value_of(const TensorUnit& unit) {
  return (unit.activation == nullptr ? 1.0F : *unit.activation) * (unit.weight == nullptr ? 1.0F : *unit.weight);
}

/// Calls body<T>() with the type of which tensors of `dtype` are made. On the host.
template <typename Body>
auto with_element(DType dtype, Body body) {
  return dtype == DType::bf16 ? body.template operator()<__nv_bfloat16>() : body.template operator()<float>();
}

// ---- loads and stores: Width is 1 or kVectorWidth<T>; vectors are 16-byte aligned -----------------------------------

template <int Width>
__device__ void load(const float* from, float (&to)[Width]) {
  static_assert(Width == 1 || Width == kVectorWidth<float>);
  if constexpr (Width == 1) {
    to[0] = *from;
  } else {
    const float4 vector = *reinterpret_cast<const float4*>(from);
    to[0] = vector.x;
    to[1] = vector.y;
    to[2] = vector.z;
    to[3] = vector.w;
  }
}

template <int Width>
__device__ void store(float* to, const float (&from)[Width]) {
  if constexpr (Width == 1) {
    *to = from[0];
  } else {
    *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
  }
}

template <int Width>
__device__ void load(const __nv_bfloat16* from, float (&to)[Width]) {
  static_assert(Width == 1 || Width == kVectorWidth<__nv_bfloat16>);
  if constexpr (Width == 1) {
    to[0] = __bfloat162float(*from);
  } else {
    const uint4 vector = *reinterpret_cast<const uint4*>(from);
    const unsigned words[4] = {vector.x, vector.y, vector.z, vector.w};
    for (int i = 0; i < 4; ++i) {  // a bf16 is the upper half of a float; the first of two lies in the lower half
      to[2 * i] = __uint_as_float(words[i] << 16);
      to[2 * i + 1] = __uint_as_float(words[i] & 0xFFFF0000U);
    }
  }
}

__device__ inline unsigned pack_bf16(float first, float second) {
  const unsigned low = __bfloat16_as_ushort(__float2bfloat16_rn(first));
  const unsigned high = __bfloat16_as_ushort(__float2bfloat16_rn(second));
  return low | high << 16;
}

template <int Width>
__device__ void store(__nv_bfloat16* to, const float (&from)[Width]) {
  if constexpr (Width == 1) {
    *to = __float2bfloat16_rn(from[0]);
  } else {
    *reinterpret_cast<uint4*>(to) = make_uint4(pack_bf16(from[0], from[1]), pack_bf16(from[2], from[3]),
                                               pack_bf16(from[4], from[5]), pack_bf16(from[6], from[7]));
  }
}

// ---- reductions -----------------------------------------------------------------------------------------------------

struct Sum {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Smallest {
  __device__ float operator()(float a, float b) const { return b < a ? b : a; }
};
/// A NaN wins, whichever side it is on.
struct Largest {
  __device__ float operator()(float a, float b) const { return a > b || a != a ? a : b; }
};

/// Over the 32 lanes of a full warp; every lane gets the result.
template <typename T, typename Combine>
__device__ T reduce_warp(T value, Combine combine) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value = combine(value, __shfl_xor_sync(kFullMask, value, distance));
  return value;
}

/// Over a block of full warps; thread 0 gets the result. `shared` has a place for every warp and is free afterwards.
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

}  // namespace bsq::cuda
