// What forward and backward of norm_act share. z = scale (x - mean) + beta [+ shortcut], by the same expression on both
// sides, so that backward sees exactly forward's kinks; the mean is taken off first, so that a channel far from zero,
// or of no variance at all, loses no digits.
#pragma once

#include "kernels/cuda/device/channel_tiles.cuh"
#include "kernels/ops/norm_act.h"

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
  float inv_std[Width];
  float scale[Width];
  float beta[Width];

  /// `args`: of forward or backward.
  template <typename Args>
  __device__ Normalization(const Args& args, int channel)
      : x_unit(value_of(args.x_unit)), shortcut_unit(value_of(args.shortcut_unit)) {
    if (args.rule.batch_statistics) {
      load_floats(args.saved.mean + channel, mean);
      load_floats(args.saved.inv_std + channel, inv_std);
    } else {
      float variance[Width];
      load_floats(args.parameters.running_mean + channel, mean);
      load_floats(args.parameters.running_var + channel, variance);
      for (int i = 0; i < Width; ++i) inv_std[i] = 1.0F / sqrtf(variance[i] + args.rule.epsilon);
    }
    float gamma[Width];
    load_floats(args.parameters.gamma + channel, gamma);
    load_floats(args.parameters.beta + channel, beta);
    for (int i = 0; i < Width; ++i) scale[i] = gamma[i] * inv_std[i];
  }
  /// x - mean
  __device__ float centred(float x, int i) const { return fmaf(x, x_unit, -mean[i]); }
  __device__ float z(float x, float shortcut, int i) const {
    return fmaf(shortcut, shortcut_unit, fmaf(centred(x, i), scale[i], beta[i]));
  }
};

/// The parts that row blocks leave of a tile's sums: [row block][field][channel].
struct PartialTable {
  float* values = nullptr;
  int fields = 0;
  int channels = 0;

  __device__ float& at(int row_block, int field, int channel) const {
    return values[(std::int64_t{row_block} * fields + field) * channels + channel];
  }
};

/// Combines `Fields` neighbouring fields of the tile's channels over all row blocks; thread t gets those of the tile's
/// channel t, what all others get means nothing. All fields are read at once, since it is the latency of these reads
/// that takes the time. `shared`: Fields * kTileThreads, free afterwards.
template <int Fields, typename T, typename Combine>
__device__ void combine_row_blocks(const ChannelTiles& tiles, const PartialTable& partials, int first_field,
                                   T (&values)[Fields], T* shared, Combine combine) {
  const int thread = static_cast<int>(threadIdx.x);
  const int own_channels = tiles.columns * tiles.width;
  const int lanes = kTileThreads / own_channels;
  const int lane = thread / own_channels;
  const int channel = static_cast<int>(blockIdx.y) * own_channels + thread % own_channels;
  if (lane < lanes && channel < tiles.channels) {
#pragma unroll 8
    for (int block = lane; block < tiles.row_blocks; block += lanes)
      for (int i = 0; i < Fields; ++i)
        values[i] = combine(values[i], static_cast<T>(partials.at(block, first_field + i, channel)));
  }
  for (int i = 0; i < Fields; ++i) shared[i * kTileThreads + thread] = values[i];
  __syncthreads();
  if (thread < own_channels)
    for (int other = 1; other < lanes; ++other)
      for (int i = 0; i < Fields; ++i)
        values[i] = combine(values[i], shared[i * kTileThreads + other * own_channels + thread]);
  __syncthreads();
}

/// The channel of which combine_row_blocks tells this thread; past the last one where it is none.
__device__ inline int channel_of_thread(const ChannelTiles& tiles) {
  const int own_channels = tiles.columns * tiles.width;
  const int thread = static_cast<int>(threadIdx.x);
  return thread < own_channels ? static_cast<int>(blockIdx.y) * own_channels + thread : tiles.channels;
}

}  // namespace bsq::cuda
