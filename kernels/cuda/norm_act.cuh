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

// The finishing kernels: blocks of kFinishChannels x kFinishLanes threads, one column of threads per channel.
constexpr int kFinishChannels = 32;
constexpr int kFinishLanes = 16;

inline dim3 finish_block() {
  return dim3(kFinishChannels, kFinishLanes);
}
inline dim3 finish_grid(int channels) {
  return dim3(static_cast<unsigned>((channels + kFinishChannels - 1) / kFinishChannels));
}

/// Combines `Fields` neighbouring fields of a channel over all row blocks, in a fixed order; the threads of lane 0 get
/// the result. All fields are read at once, since it is the latency of these reads that the kernel takes. `shared`: one
/// block's worth.
template <int Fields, typename T, typename Combine>
__device__ void combine_row_blocks(const PartialTable& partials, int row_blocks, int first_field, int channel,
                                   T (&values)[Fields], T* shared, Combine combine) {
  const int lane = static_cast<int>(threadIdx.y);
  if (channel < partials.channels) {
#pragma unroll 8
    for (int block = lane; block < row_blocks; block += kFinishLanes)
      for (int i = 0; i < Fields; ++i)
        values[i] = combine(values[i], static_cast<T>(partials.at(block, first_field + i, channel)));
  }
  T* own = shared + (lane * kFinishChannels + static_cast<int>(threadIdx.x)) * Fields;
  for (int i = 0; i < Fields; ++i) own[i] = values[i];
  __syncthreads();
  for (int half = kFinishLanes / 2; half > 0; half /= 2) {
    const T* other = own + half * kFinishChannels * Fields;
    if (lane < half)
      for (int i = 0; i < Fields; ++i) own[i] = combine(own[i], other[i]);
    __syncthreads();
  }
  for (int i = 0; i < Fields; ++i) values[i] = own[i];
  __syncthreads();
}

}  // namespace bsq::cuda
