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

/// What `Width` neighbouring channels are normalized with. x and shortcut are given as they are stored.
template <int Width>
struct Normalization {
  float x_unit;
  float shortcut_unit;
  float mean[Width];
  float scale[Width];
  float beta[Width];

  /// `args`: of forward or backward.
  template <typename Args>
  __device__ Normalization(const Args& args, int channel)
      : x_unit(value_of(args.x_unit)), shortcut_unit(value_of(args.shortcut_unit)) {
    for (int i = 0; i < Width; ++i) {
      mean[i] = args.saved.mean[channel + i];
      scale[i] = args.parameters.gamma[channel + i] * args.saved.inv_std[channel + i];
      beta[i] = args.parameters.beta[channel + i];
    }
  }
  /// x - mean
  __device__ float centred(float x, int i) const { return fmaf(x, x_unit, -mean[i]); }
  __device__ float z(float x, float shortcut, int i) const {
    return fmaf(shortcut, shortcut_unit, fmaf(centred(x, i), scale[i], beta[i]));
  }
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
