// What forward and backward of norm_act share. z = scale (x - mean) + beta [+ shortcut], by the same expression on both
// sides, so that backward sees exactly forward's kinks; the mean is taken off first, so that a channel far from zero,
// or of no variance at all, loses no digits.
#pragma once

#include "kernels/cuda/channel_tiles.cuh"
#include "kernels/types.h"

#include <cmath>

namespace bsq::cuda {

/// The activation as a clamp: none is no clamp at all.
struct Clamp {
  bool clamps = false;
  float ceiling = 0;

  __device__ Clamp(Activation activation, const float* clip) : clamps(activation != Activation::none) {
    ceiling = activation == Activation::relu6 ? 6.0F : activation == Activation::pact ? *clip : INFINITY;
  }
  /// A NaN stays one.
  __device__ float apply(float z) const {
    if (!clamps) return z;
    return z < 0.0F ? 0.0F : z > ceiling ? ceiling : z;
  }
  /// Whether the gradient passes.
  __device__ bool passes(float z) const { return !clamps || (z > 0.0F && z < ceiling); }
};

/// What `Width` neighbouring channels are normalized with.
template <int Width>
struct Normalization {
  float mean[Width];
  float scale[Width];
  float beta[Width];

  __device__ Normalization(const NormParameters& parameters, const NormSaved& saved, int channel) {
    for (int i = 0; i < Width; ++i) {
      mean[i] = saved.mean[channel + i];
      scale[i] = parameters.gamma[channel + i] * saved.inv_std[channel + i];
      beta[i] = parameters.beta[channel + i];
    }
  }
  __device__ float z(float x, float shortcut, int i) const { return fmaf(x - mean[i], scale[i], beta[i]) + shortcut; }
};

/// Partial sums [row block][field][channel] of the first pass, which the finishing kernel adds up in order.
struct PartialTable {
  float* values = nullptr;
  int fields = 0;
  int channels = 0;

  __device__ float& at(int row_block, int field, int channel) const {
    return values[(std::int64_t{row_block} * fields + field) * channels + channel];
  }
};

// The finishing kernels: one block of kFinishChannels x kFinishLanes threads walks over all channels.
constexpr int kFinishChannels = 32;
constexpr int kFinishLanes = 8;

/// Adds up one field of a channel over all row blocks; the threads of lane 0 get the result. `shared`: one block's
/// worth.
template <typename T, typename Combine>
__device__ T combine_row_blocks(const PartialTable& partials, int row_blocks, int field, int channel, T start,
                                T* shared, Combine combine) {
  const int lane = static_cast<int>(threadIdx.y);
  T value = start;
  if (channel < partials.channels)
    for (int block = lane; block < row_blocks; block += kFinishLanes)
      value = combine(value, static_cast<T>(partials.at(block, field, channel)));
  T* own = shared + lane * kFinishChannels + static_cast<int>(threadIdx.x);
  *own = value;
  __syncthreads();
  for (int half = kFinishLanes / 2; half > 0; half /= 2) {
    if (lane < half) *own = combine(*own, own[half * kFinishChannels]);
    __syncthreads();
  }
  value = *own;
  __syncthreads();
  return value;
}

}  // namespace bsq::cuda
