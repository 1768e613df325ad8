// What forward and backward of norm_act share. z = scale x + shift [+ shortcut], with scale and shift folded from the
// saved statistics by the same expression on both sides, so that backward sees exactly forward's kinks.
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

/// scale and shift of `Width` neighbouring channels.
template <int Width>
struct Normalization {
  float scale[Width];
  float shift[Width];

  __device__ Normalization(const NormParameters& parameters, const NormSaved& saved, int channel) {
    for (int i = 0; i < Width; ++i) {
      scale[i] = parameters.gamma[channel + i] * saved.inv_std[channel + i];
      shift[i] = parameters.beta[channel + i] - saved.mean[channel + i] * scale[i];
    }
  }
  __device__ float z(float x, float shortcut, int i) const { return fmaf(x, scale[i], shift[i]) + shortcut; }
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
