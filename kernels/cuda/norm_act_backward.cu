// norm_act backward: one pass for the sums of a channel, one that writes dx and d_shortcut; z is recomputed, not
// stored.
//
// Least bytes, e = bytes of an element: 5 e rows C (x and dy twice, dx once); with a shortcut 3 e rows C more, and one
// e rows C more where its gradient is accumulated.
#include "kernels/batch_slice.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/norm_act.cuh"

namespace bsq::cuda {
namespace {

enum Field { kSum, kProjection, kClipped, kFields };

/// d_x = x_unit scale dz + slope (x - mean) + offset; [C] each, behind the partial sums. Before either is known the two
/// hold what the ranks exchange, the sums of dz and of dz (x - mean).
struct Coefficients {
  float* slope = nullptr;
  float* offset = nullptr;

  __device__ void set(const NormActBackwardArgs& args, int channel, double sum, double projection) const {
    const auto rows = static_cast<double>(args.geometry.rows);
    const double inv_std = args.saved.inv_std[channel];
    const double scale = static_cast<double>(value_of(args.x_unit)) * args.parameters.gamma[channel] * inv_std;
    slope[channel] = static_cast<float>(-scale * inv_std * inv_std * projection / rows);
    offset[channel] = static_cast<float>(-scale * sum / rows);
  }
};

/// A vector of x - mean and dy, and the z it had.
template <typename T, int Width>
struct Gradients {
  float centred[Width];
  float d_y[Width];
  float z[Width];

  __device__ Gradients(const NormActBackwardArgs& args, std::int64_t at, const Normalization<Width>& normalization,
                       float dy_factor) {
    float value[Width];
    float addend[Width] = {};
    load<Width>(static_cast<const T*>(args.x) + at, value);
    load<Width>(static_cast<const T*>(args.d_y) + at, d_y);
    if (args.shortcut != nullptr) load<Width>(static_cast<const T*>(args.shortcut) + at, addend);
    for (int i = 0; i < Width; ++i) {
      centred[i] = normalization.centred(value[i], i);
      z[i] = normalization.z(value[i], addend[i], i);
      d_y[i] *= dy_factor;
    }
  }
};

/// dy of a d_y with respect to levels.
__device__ float dy_per_stored(const NormActBackwardArgs& args) {
  if (args.y_unit == nullptr) return 1.0F;
  return *args.y_unit == 0.0F ? 0.0F : 1.0F / *args.y_unit;
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void sum_gradients(ChannelTiles tiles, NormActBackwardArgs args, PartialTable partials) {
  BSQ_SHARED(float, shared, [kTileThreads * Width]);
  const TilePlace place(tiles);
  const Activation activation = args.rule.activation;
  float sum[Width] = {};
  float projection[Width] = {};
  float clipped[Width] = {};
  if (place.active) {
    const Normalization<Width> normalization(args, place.channel);
    const Clamp clamp(activation, args.parameters.clip);
    const float dy_factor = dy_per_stored(args);
    for (std::int64_t row = place.first_row; row < tiles.rows; row += place.row_step) {
      const Gradients<T, Width> at(args, row * tiles.channels + place.channel, normalization, dy_factor);
      for (int i = 0; i < Width; ++i) {
        const float d_z = clamp.passes(at.z[i]) ? at.d_y[i] : 0.0F;
        sum[i] += d_z;
        projection[i] = fmaf(d_z, at.centred[i], projection[i]);
        if (at.z[i] >= clamp.ceiling) clipped[i] += at.d_y[i];
      }
    }
  }
  reduce_lanes<Width>(tiles, place, sum, shared, Sum());
  reduce_lanes<Width>(tiles, place, projection, shared, Sum());
  if (activation == Activation::pact) reduce_lanes<Width>(tiles, place, clipped, shared, Sum());
  if (!place.active || place.lane != 0) return;
  const int row_block = static_cast<int>(blockIdx.x);
  for (int i = 0; i < Width; ++i) {
    partials.at(row_block, kSum, place.channel + i) = sum[i];
    partials.at(row_block, kProjection, place.channel + i) = projection[i];
    if (activation == Activation::pact) partials.at(row_block, kClipped, place.channel + i) = clipped[i];
  }
}

// grid finish_grid, of which a block takes every gridDim.x-th group of channels; one block for PACT, which has a sum
// over all of them. block finish_block
__global__ void finish_gradients(ChannelTiles tiles, NormActBackwardArgs args, PartialTable partials,
                                 Coefficients coefficients) {
  BSQ_SHARED(double, shared, [kFields * kFinishChannels * kFinishLanes]);
  const Activation activation = args.rule.activation;
  double d_clip = 0;
  const int groups_apart = static_cast<int>(gridDim.x) * kFinishChannels;
  for (int first = static_cast<int>(blockIdx.x) * kFinishChannels; first < tiles.channels; first += groups_apart) {
    const int channel = first + static_cast<int>(threadIdx.x);
    double sums[2] = {};  // kSum, kProjection
    double clipped[1] = {};
    combine_row_blocks(partials, tiles.row_blocks, kSum, channel, sums, shared, Sum());
    if (activation == Activation::pact)
      combine_row_blocks(partials, tiles.row_blocks, kClipped, channel, clipped, shared, Sum());
    if (threadIdx.y != 0 || channel >= tiles.channels) continue;
    const auto [sum, projection] = sums;
    d_clip += clipped[0];
    args.gradients.d_beta[channel] = static_cast<float>(sum);
    args.gradients.d_gamma[channel] = static_cast<float>(projection * args.saved.inv_std[channel]);
    if (args.slice == nullptr) {
      coefficients.set(args, channel, sum, projection);
    } else {
      coefficients.slope[channel] = static_cast<float>(sum);
      coefficients.offset[channel] = static_cast<float>(projection);
    }
  }
  if (activation != Activation::pact || threadIdx.y != 0) return;
  d_clip = reduce_warp(d_clip, Sum());  // the threads of lane 0 are a warp
  if (threadIdx.x == 0) *args.gradients.d_clip = static_cast<float>(d_clip);
}

// grid enough for all, block kTileThreads, one thread per channel
__global__ void finish_over_all_slices(NormActBackwardArgs args, Coefficients coefficients) {
  const int channel = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (channel < args.geometry.channels)
    coefficients.set(args, channel, coefficients.slope[channel], coefficients.offset[channel]);
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void write_gradients(ChannelTiles tiles, NormActBackwardArgs args, Coefficients coefficients) {
  const TilePlace place(tiles);
  if (!place.active) return;
  auto* d_x = static_cast<T*>(args.d_x);
  auto* d_shortcut = static_cast<T*>(args.d_shortcut);
  const Normalization<Width> normalization(args, place.channel);
  const Clamp clamp(args.rule.activation, args.parameters.clip);
  const float dy_factor = dy_per_stored(args);
  float scale[Width];
  float slope[Width];
  float offset[Width];
  for (int i = 0; i < Width; ++i) {
    scale[i] = normalization.scale[i] * normalization.x_unit;
    slope[i] = coefficients.slope[place.channel + i];
    offset[i] = coefficients.offset[place.channel + i];
  }
  for (std::int64_t row = place.first_row; row < tiles.rows; row += place.row_step) {
    const std::int64_t index = row * tiles.channels + place.channel;
    const Gradients<T, Width> at(args, index, normalization, dy_factor);
    float d_z[Width];
    float result[Width];
    for (int i = 0; i < Width; ++i) {
      d_z[i] = clamp.passes(at.z[i]) ? at.d_y[i] : 0.0F;
      result[i] = fmaf(d_z[i], scale[i], fmaf(at.centred[i], slope[i], offset[i]));
    }
    store<Width>(d_x + index, result);
    if (d_shortcut == nullptr) continue;
    float before[Width] = {};
    if (args.shortcut_mode == GradMode::accumulate) load<Width>(d_shortcut + index, before);
    for (int i = 0; i < Width; ++i) d_z[i] = fmaf(d_z[i], normalization.shortcut_unit, before[i]);
    store<Width>(d_shortcut + index, d_z);
  }
}

template <typename T, int Width>
void run(const NormActBackwardArgs& args, const ChannelTiles& tiles, cudaStream_t stream) {
  const int channels = args.geometry.channels;
  const PartialTable partials{static_cast<float*>(args.scratch), kFields, channels};
  float* behind = partials.values + std::int64_t{tiles.row_blocks} * kFields * channels;
  const Coefficients coefficients{behind, behind + channels};
  launch(sum_gradients<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args, partials);
  launch(finish_gradients, args.rule.activation == Activation::pact ? dim3(1) : finish_grid(channels), finish_block(),
         0, stream, tiles, args, partials, coefficients);
  if (args.slice != nullptr) {
    args.slice->average(coefficients.slope, 2 * static_cast<std::size_t>(channels));
    const auto blocks = static_cast<unsigned>((channels + kTileThreads - 1) / kTileThreads);
    launch(finish_over_all_slices, dim3(blocks), dim3(kTileThreads), 0, stream, args, coefficients);
  }
  launch(write_gradients<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args, coefficients);
}

}  // namespace

std::size_t norm_act_scratch_bytes(const NormActGeometry& geometry) {
  constexpr int most_fields = 4;  // forward's; backward has one less
  constexpr int coefficient_fields = 2;
  const int row_blocks = with_element(geometry.dtype, [&]<typename T>() {
    return ChannelTiles(geometry.rows, geometry.channels, kVectorWidth<T>).row_blocks;
  });
  return static_cast<std::size_t>(row_blocks * most_fields + coefficient_fields) *
         static_cast<std::size_t>(geometry.channels) * sizeof(float);
}

void norm_act_backward(const NormActBackwardArgs& args, cudaStream_t stream) {
  with_tiles(args.geometry.dtype, args.geometry.rows, args.geometry.channels,
             [&]<typename T, int Width>(const ChannelTiles& tiles) { run<T, Width>(args, tiles, stream); });
}

}  // namespace bsq::cuda
