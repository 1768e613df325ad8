// norm_act forward: batch norm, shortcut, activation and quantizer of a tensor [rows, C].
//
// Reads x for the statistics (and, without a shortcut, each channel's extremes, which give the activation's maximum),
// reads x and the shortcut once more to write y. With a shortcut and a quantizer the maximum takes a pass of its own.
// Least bytes, e = bytes of an element: 3 e rows C; + e rows C with a shortcut, + 2 e rows C more if quantized.
#include "kernels/batch_slice.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/norm_act.cuh"

namespace bsq::cuda {
namespace {

enum Field { kSum, kSquares, kLow, kHigh, kFields };

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time.
// `maximum`: set to 0, to be raised by finish_statistics; null where the extremes are not asked for
template <typename T, int Width>
__global__ void sum_moments(ChannelTiles tiles, const T* x, float* maximum, PartialTable partials) {
  BSQ_SHARED(float, shared, [kTileThreads * Width]);
  const TilePlace place(tiles);
  const bool with_extremes = maximum != nullptr;
  if (with_extremes && blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) *maximum = 0;
  float pilot[Width] = {};  // x[0, c]: of x - pilot, a channel far from zero loses no digits
  if (place.active) load<Width>(x + place.channel, pilot);
  float sum[Width] = {};
  float squares[Width] = {};
  float low[Width];
  float high[Width];
  for (int i = 0; i < Width; ++i) {
    low[i] = INFINITY;
    high[i] = -INFINITY;
  }
  for (std::int64_t row = place.first_row; row < tiles.rows; row += place.row_step) {
    float value[Width];
    load<Width>(x + row * tiles.channels + place.channel, value);
    for (int i = 0; i < Width; ++i) {
      const float centred = value[i] - pilot[i];
      sum[i] += centred;
      squares[i] = fmaf(centred, centred, squares[i]);
      low[i] = Smallest()(low[i], value[i]);
      high[i] = value[i] > high[i] ? value[i] : high[i];
    }
  }
  reduce_lanes<Width>(tiles, place, sum, shared, Sum());
  reduce_lanes<Width>(tiles, place, squares, shared, Sum());
  if (with_extremes) {
    reduce_lanes<Width>(tiles, place, low, shared, Smallest());
    reduce_lanes<Width>(tiles, place, high, shared, Largest());
  }
  if (!place.active || place.lane != 0) return;
  const int row_block = static_cast<int>(blockIdx.x);
  for (int i = 0; i < Width; ++i) {
    partials.at(row_block, kSum, place.channel + i) = sum[i];
    partials.at(row_block, kSquares, place.channel + i) = squares[i];
    if (!with_extremes) continue;
    partials.at(row_block, kLow, place.channel + i) = low[i];
    partials.at(row_block, kHigh, place.channel + i) = high[i];
  }
}

struct Statistics {
  double mean = 0;
  double variance = 0;
  double unbiased_variance = 0;
};

/// From the sums over the stored x, whose unit is given.
__device__ Statistics statistics_of(double pilot, double sum, double squares, double rows, double unit) {
  const double offset = sum / rows;
  double centred = unit * unit * (squares - sum * offset);  // sum of (x - mean)^2
  if (centred < 0) centred = 0;
  return {unit * (pilot + offset), centred / rows, centred / (rows > 1 ? rows - 1 : 1)};
}

/// Of one channel, from the sums over its rows here; the threads of lane 0 get them.
template <typename T>
__device__ Statistics combine_statistics(const ChannelTiles& tiles, const NormActForwardArgs& args,
                                         const PartialTable& partials, int channel, double* shared) {
  double sums[2] = {};  // kSum, kSquares
  combine_row_blocks(partials, tiles.row_blocks, kSum, channel, sums, shared, Sum());
  if (threadIdx.y != 0 || channel >= tiles.channels) return {};
  float pilot[1];
  load<1>(static_cast<const T*>(args.x) + channel, pilot);
  return statistics_of(pilot[0], sums[0], sums[1], static_cast<double>(tiles.rows), value_of(args.x_unit));
}

/// What the ranks exchange: first and second moments about the running mean, which is the same on all of them.
struct SliceMoments {
  float* first = nullptr;   // [C]
  float* second = nullptr;  // [C], right behind; both null: statistics are those of the rows here
  double rows = 0;          // of all slices

  __device__ Statistics statistics(float running_mean, int channel) const {
    const double offset = first[channel];
    double variance = second[channel] - offset * offset;
    if (variance < 0) variance = 0;
    return {running_mean + offset, variance, variance * rows / (rows > 1 ? rows - 1 : 1)};
  }
};

// grid finish_grid, block finish_block
template <typename T>
__global__ void write_moments(ChannelTiles tiles, NormActForwardArgs args, PartialTable partials,
                              SliceMoments moments) {
  BSQ_SHARED(double, shared, [2 * kFinishChannels * kFinishLanes]);
  const int channel = static_cast<int>(blockIdx.x) * kFinishChannels + static_cast<int>(threadIdx.x);
  const Statistics own = combine_statistics<T>(tiles, args, partials, channel, shared);
  if (threadIdx.y != 0 || channel >= tiles.channels) return;
  const double offset = own.mean - args.parameters.running_mean[channel];
  moments.first[channel] = static_cast<float>(offset);
  moments.second[channel] = static_cast<float>(own.variance + offset * offset);
}

__device__ void save_statistics(const Statistics& found, const NormActRule& rule, const NormParameters& parameters,
                                const NormSaved& saved, int channel) {
  const double momentum = rule.momentum;
  saved.mean[channel] = static_cast<float>(found.mean);
  saved.inv_std[channel] = static_cast<float>(1.0 / sqrt(found.variance + static_cast<double>(rule.epsilon)));
  float& running_mean = parameters.running_mean[channel];
  float& running_var = parameters.running_var[channel];
  running_mean = static_cast<float>((1 - momentum) * running_mean + momentum * found.mean);
  running_var = static_cast<float>((1 - momentum) * running_var + momentum * found.unbiased_variance);
}

/// maximum = max(maximum, value), neither of them negative: such floats are ordered as their bits are, a NaN above all,
/// and an integer maximum has no order to keep.
__device__ void raise(float& maximum, float value) {
  atomicMax(reinterpret_cast<int*>(&maximum), __float_as_int(value));
}

/// max|act(z)| of a channel without shortcut: z is monotonic in x, so it lies at an extreme of x.
__device__ float largest_of(const Normalization<1>& normalization, const Clamp& clamp, float low, float high) {
  const float at_low = fabsf(clamp.apply(normalization.z(low, 0.0F, 0)));
  const float at_high = fabsf(clamp.apply(normalization.z(high, 0.0F, 0)));
  return Largest()(at_low, at_high);
}

// grid finish_grid, block finish_block
template <typename T>
__global__ void finish_statistics(ChannelTiles tiles, NormActForwardArgs args, PartialTable partials,
                                  bool maximum_from_extremes, SliceMoments moments) {
  BSQ_SHARED(double, shared_sums, [2 * kFinishChannels * kFinishLanes]);
  BSQ_SHARED(float, shared_extremes, [kFinishChannels * kFinishLanes]);
  const NormActRule& rule = args.rule;
  const NormParameters& parameters = args.parameters;
  const NormSaved& saved = args.saved;
  const int channel = static_cast<int>(blockIdx.x) * kFinishChannels + static_cast<int>(threadIdx.x);
  const bool leads = threadIdx.y == 0 && channel < tiles.channels;
  if (rule.batch_statistics && moments.first == nullptr) {
    const Statistics own = combine_statistics<T>(tiles, args, partials, channel, shared_sums);
    if (leads) save_statistics(own, rule, parameters, saved, channel);
  } else if (rule.batch_statistics) {
    if (leads)
      save_statistics(moments.statistics(parameters.running_mean[channel], channel), rule, parameters, saved, channel);
  } else if (leads) {
    saved.mean[channel] = parameters.running_mean[channel];
    const double variance = parameters.running_var[channel];
    saved.inv_std[channel] = static_cast<float>(1.0 / sqrt(variance + static_cast<double>(rule.epsilon)));
  }
  if (maximum_from_extremes) {
    float low[1] = {INFINITY};
    float high[1] = {-INFINITY};
    combine_row_blocks(partials, tiles.row_blocks, kLow, channel, low, shared_extremes, Smallest());
    combine_row_blocks(partials, tiles.row_blocks, kHigh, channel, high, shared_extremes, Largest());
    if (threadIdx.y != 0) return;
    float largest = 0;
    if (leads) largest = largest_of({args, channel}, Clamp(rule.activation, parameters.clip), low[0], high[0]);
    largest = reduce_warp(largest, Largest());  // the threads of lane 0 are a warp
    if (threadIdx.x == 0) raise(*saved.act_scale, largest);
  } else if (rule.act_bits > 0 && blockIdx.x == 0 && threadIdx.x == 0 && threadIdx.y == 0) {
    *saved.act_scale = args.act_scale != nullptr ? *args.act_scale : 0.0F;  // 0: find_largest raises it
  }
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void find_largest(ChannelTiles tiles, NormActForwardArgs args) {
  BSQ_SHARED(float, shared, [kTileThreads / kWarp]);
  const TilePlace place(tiles);
  float largest = 0;
  if (place.active) {
    const auto* x = static_cast<const T*>(args.x);
    const auto* shortcut = static_cast<const T*>(args.shortcut);
    const Normalization<Width> normalization(args, place.channel);
    const Clamp clamp(args.rule.activation, args.parameters.clip);
    for (std::int64_t row = place.first_row; row < tiles.rows; row += place.row_step) {
      const std::int64_t at = row * tiles.channels + place.channel;
      float value[Width];
      float addend[Width];
      load<Width>(x + at, value);
      load<Width>(shortcut + at, addend);
      for (int i = 0; i < Width; ++i)
        largest = Largest()(largest, fabsf(clamp.apply(normalization.z(value[i], addend[i], i))));
    }
  }
  largest = reduce_block(largest, shared, Largest());
  if (threadIdx.x == 0) raise(*args.saved.act_scale, largest);
}

/// The grid that activations are rounded to: all levels are 0 where S is, or is too small for its steps to be told
/// apart.
struct LevelGrid {
  float levels_per_one = 0;
  float unit = 0;
  float limit = 0;  // S

  __device__ LevelGrid(const NormActRule& rule, const NormSaved& saved) {
    constexpr float largest_ratio = 1e38F;
    if (rule.act_bits == 0) return;
    const auto levels = static_cast<float>((1 << rule.act_bits) - 1);
    const float act_scale = *saved.act_scale;
    if (act_scale == 0.0F || levels / act_scale > largest_ratio) return;
    levels_per_one = levels / act_scale;
    unit = act_scale / levels;
    limit = act_scale;
  }
  /// A NaN stays one, and with a NaN for S all are.
  __device__ float level(float y) const {
    const float within = y > limit ? limit : y < -limit ? -limit : y;
    return rintf(within * levels_per_one);
  }
};

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void write_activations(ChannelTiles tiles, NormActForwardArgs args) {
  const TilePlace place(tiles);
  if (!place.active) return;
  const auto* x = static_cast<const T*>(args.x);
  const auto* shortcut = static_cast<const T*>(args.shortcut);
  const Normalization<Width> normalization(args, place.channel);
  const Clamp clamp(args.rule.activation, args.parameters.clip);
  const LevelGrid grid(args.rule, args.saved);
  const bool stores_levels = args.y_unit != nullptr;
  if (stores_levels && blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) *args.y_unit = grid.unit;
  const float stored_level = stores_levels ? 1.0F : grid.unit;
  for (std::int64_t row = place.first_row; row < tiles.rows; row += place.row_step) {
    const std::int64_t at = row * tiles.channels + place.channel;
    float value[Width];
    float addend[Width] = {};
    load<Width>(x + at, value);
    if (shortcut != nullptr) load<Width>(shortcut + at, addend);
    for (int i = 0; i < Width; ++i) {
      value[i] = clamp.apply(normalization.z(value[i], addend[i], i));
      if (args.rule.act_bits > 0) value[i] = grid.level(value[i]) * stored_level;
    }
    store<Width>(static_cast<T*>(args.y) + at, value);
  }
}

template <typename T, int Width>
void run(const NormActForwardArgs& args, const ChannelTiles& tiles, cudaStream_t stream) {
  const auto* x = static_cast<const T*>(args.x);
  const PartialTable partials{static_cast<float*>(args.scratch), kFields, args.geometry.channels};
  const dim3 finishing_grid = finish_grid(args.geometry.channels);
  const bool wants_maximum = args.rule.act_bits > 0 && args.act_scale == nullptr;
  const bool maximum_from_extremes = wants_maximum && args.shortcut == nullptr;
  BatchSlice* slice = args.rule.batch_statistics ? args.slice : nullptr;
  if (args.rule.batch_statistics || maximum_from_extremes)
    launch(sum_moments<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, x,
           maximum_from_extremes ? args.saved.act_scale : nullptr, partials);
  SliceMoments moments;
  if (slice != nullptr) {
    float* behind = partials.values + std::int64_t{tiles.row_blocks} * kFields * args.geometry.channels;
    moments = {behind, behind + args.geometry.channels, static_cast<double>(slice->rows_of_batch(tiles.rows))};
    launch(write_moments<T>, finishing_grid, finish_block(), 0, stream, tiles, args, partials, moments);
    slice->average(moments.first, 2 * static_cast<std::size_t>(args.geometry.channels));
  }
  launch(finish_statistics<T>, finishing_grid, finish_block(), 0, stream, tiles, args, partials, maximum_from_extremes,
         moments);
  if (wants_maximum && args.shortcut != nullptr)
    launch(find_largest<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args);
  if (wants_maximum && slice != nullptr) slice->maximum(args.saved.act_scale, 1);
  launch(write_activations<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args);
}

}  // namespace

void norm_act_forward(const NormActForwardArgs& args, cudaStream_t stream) {
  with_tiles(args.geometry.dtype, args.geometry.rows, args.geometry.channels,
             [&]<typename T, int Width>(const ChannelTiles& tiles) { run<T, Width>(args, tiles, stream); });
}

}  // namespace bsq::cuda
