// norm_act forward: batch norm, shortcut, activation and quantizer of a tensor [rows, C].
//
// Reads x for the statistics (and, without a shortcut, each channel's extremes, which give the activation's maximum),
// reads x and the shortcut once more to write y. With a shortcut and a quantizer the maximum takes a pass of its own.
// The last block of a pass finishes its sums, so that there is no launch between two passes.
// Least bytes, e = bytes of an element: 3 e rows C; + e rows C with a shortcut, + 2 e rows C more if quantized.
#include "kernels/batch_slice.h"
#include "kernels/cuda/device/norm_act.cuh"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {
namespace {

constexpr int kRowsInFlight = 4;  // of one or two vectors

enum Field { kSum, kSquares, kNegatedLow, kHigh, kFields };  // so that both extremes are maxima

struct Statistics {
  double mean = 0;
  double variance = 0;
  double unbiased_variance = 0;
};

/// From the sums over the stored x, whose unit is given.
__device__ Statistics statistics_of(double pivot, double sum, double squares, double rows, double unit) {
  const double offset = sum / rows;
  double centred = unit * unit * (squares - sum * offset);  // sum of (x - mean)^2
  if (centred < 0) centred = 0;
  return {unit * (pivot + offset), centred / rows, centred / (rows > 1 ? rows - 1 : 1)};
}

/// What the ranks exchange: first and second moments about the running mean, which is the same on all of them.
struct SliceMoments {
  float* first = nullptr;   // [C]
  float* second = nullptr;  // [C], right behind; both null: statistics are those of the rows here
  double rows = 0;          // of all slices

  __device__ void set(const Statistics& own, float running_mean, int channel) const {
    const double offset = own.mean - running_mean;
    first[channel] = static_cast<float>(offset);
    second[channel] = static_cast<float>(own.variance + offset * offset);
  }
  __device__ Statistics statistics(float running_mean, int channel) const {
    const double offset = first[channel];
    double variance = second[channel] - offset * offset;
    if (variance < 0) variance = 0;
    return {running_mean + offset, variance, variance * rows / (rows > 1 ? rows - 1 : 1)};
  }
};

/// The extremes of each channel of x, kept where its statistics have to wait for other ranks.
struct Extremes {
  float* low = nullptr;   // [C]
  float* high = nullptr;  // [C]
};

/// What the pass over x is to find out, and where the parts of its sums go.
struct FirstPass {
  bool with_moments = false;
  bool with_extremes = false;
  PartialTable partials;
  SliceMoments moments;
  Extremes extremes;
  GridMemory memory;
};

/// What a thread adds up of its vectors of x, less the pivot x[0, c]: a channel far from zero loses no digits then.
template <int Width>
struct Sums {
  float pivot[Width] = {};
  float sum[Width] = {};
  float squares[Width] = {};
  float negated_low[Width];
  float high[Width];

  __device__ Sums() {
    for (int i = 0; i < Width; ++i) negated_low[i] = high[i] = -INFINITY;
  }
  __device__ void add(const float (&value)[Width]) {
    for (int i = 0; i < Width; ++i) {
      const float centred = value[i] - pivot[i];
      sum[i] += centred;
      squares[i] = fmaf(centred, centred, squares[i]);
      negated_low[i] = Largest()(negated_low[i], -value[i]);
      high[i] = Largest()(high[i], value[i]);
    }
  }
};

__device__ void save_statistics(const Statistics& found, const NormActForwardArgs& args, int channel) {
  const double momentum = args.rule.momentum;
  args.saved.mean[channel] = static_cast<float>(found.mean);
  args.saved.inv_std[channel] = static_cast<float>(1.0 / sqrt(found.variance + static_cast<double>(args.rule.epsilon)));
  float& running_mean = args.parameters.running_mean[channel];
  float& running_var = args.parameters.running_var[channel];
  running_mean = static_cast<float>((1 - momentum) * running_mean + momentum * found.mean);
  running_var = static_cast<float>((1 - momentum) * running_var + momentum * found.unbiased_variance);
}

/// max|act(z)| of a channel without shortcut: z is monotonic in x, so it lies at an extreme of x.
__device__ float largest_of(const NormActForwardArgs& args, int channel, float low, float high) {
  const Normalization<1> normalization(args, channel);
  const Clamp clamp(args.rule.activation, args.parameters.clip);
  const float at_low = fabsf(clamp.apply(normalization.z(low, 0.0F, 0)));
  const float at_high = fabsf(clamp.apply(normalization.z(high, 0.0F, 0)));
  return Largest()(at_low, at_high);
}

/// S = the largest that any thread of any of the blocks brings, `count` of them.
__device__ void save_largest(float largest, unsigned index, unsigned count, float* act_scale, float* shared,
                             const GridMemory& memory) {
  largest = reduce_block(largest, shared, Largest());
  const bool is_last =
      combine_blocks(largest, index, count, static_cast<float*>(memory.sums), memory.last_counter(), Largest());
  if (is_last && threadIdx.x == 0) *act_scale = largest;
}

/// What the last block of a column tile makes of its sums.
template <typename T>
__device__ void finish_tile(const ChannelTiles& tiles, const NormActForwardArgs& args, const FirstPass& pass,
                            double* shared_sums, float* shared_extremes) {
  const int channel = channel_of_thread(tiles);
  const bool leads = channel < tiles.channels;
  if (pass.with_moments) {
    double sums[2] = {};  // kSum, kSquares
    combine_row_blocks(tiles, pass.partials, kSum, sums, shared_sums, Sum());
    if (leads) {
      float pivot[1];
      load<1>(static_cast<const T*>(args.x) + channel, pivot);
      const Statistics own =
          statistics_of(pivot[0], sums[0], sums[1], static_cast<double>(tiles.rows), value_of(args.x_unit));
      if (pass.moments.first == nullptr)
        save_statistics(own, args, channel);
      else
        pass.moments.set(own, args.parameters.running_mean[channel], channel);
    }
  }
  if (!pass.with_extremes) return;
  float extremes[2] = {-INFINITY, -INFINITY};  // kNegatedLow, kHigh
  combine_row_blocks(tiles, pass.partials, kNegatedLow, extremes, shared_extremes, Largest());
  const float low = -extremes[0];
  const float high = extremes[1];
  if (pass.extremes.low != nullptr) {
    if (!leads) return;
    pass.extremes.low[channel] = low;
    pass.extremes.high[channel] = high;
    return;
  }
  const float largest = leads ? largest_of(args, channel, low, high) : 0.0F;
  save_largest(largest, blockIdx.y, gridDim.y, args.saved.act_scale, shared_extremes, pass.memory);
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    sum_moments(ChannelTiles tiles, NormActForwardArgs args, FirstPass pass) {
  BSQ_SHARED(float, shared, [kTileThreads * Width]);
  BSQ_SHARED(double, shared_sums, [2 * kTileThreads]);
  BSQ_SHARED(float, shared_extremes, [2 * kTileThreads]);
  const TilePlace place(tiles);
  const auto* x = static_cast<const T*>(args.x);
  Sums<Width> sums;
  if (place.active) load<Width>(x + place.channel, sums.pivot);
  for_rows<kRowsInFlight>(
      tiles, place, [&](std::int64_t row) { return load_raw<Width>(x + row * tiles.channels + place.channel); },
      [&](std::int64_t, const Raw<T, Width>& raw) {
        float value[Width];
        unpack(raw, value);
        sums.add(value);
      });
  const TileResult result(tiles);
  const auto keep = [&](Field field, float value) {
    if (result.active) pass.partials.at(static_cast<int>(blockIdx.x), field, result.channel) = value;
  };
  if (pass.with_moments) {
    keep(kSum, reduce_lanes<Width>(tiles, place, sums.sum, shared, Sum()));
    keep(kSquares, reduce_lanes<Width>(tiles, place, sums.squares, shared, Sum()));
  }
  if (pass.with_extremes) {
    keep(kNegatedLow, reduce_lanes<Width>(tiles, place, sums.negated_low, shared, Largest()));
    keep(kHigh, reduce_lanes<Width>(tiles, place, sums.high, shared, Largest()));
  }
  if (arrives_last(pass.memory.counters + blockIdx.y, gridDim.x))
    finish_tile<T>(tiles, args, pass, shared_sums, shared_extremes);
}

// grid enough for all, block kTileThreads, one thread per channel
__global__ void finish_over_all_slices(NormActForwardArgs args, FirstPass pass) {
  BSQ_SHARED(float, shared, [kTileWarps]);
  const int channel = static_cast<int>(blockIdx.x) * kTileThreads + static_cast<int>(threadIdx.x);
  const bool leads = channel < args.geometry.channels;
  if (leads) save_statistics(pass.moments.statistics(args.parameters.running_mean[channel], channel), args, channel);
  if (!pass.with_extremes) return;
  const float largest = leads ? largest_of(args, channel, pass.extremes.low[channel], pass.extremes.high[channel]) : 0;
  save_largest(largest, blockIdx.x, gridDim.x, args.saved.act_scale, shared, pass.memory);
}

/// A vector of x and of the shortcut, as they lie in memory.
template <typename T, int Width>
struct RawPair {
  Raw<T, Width> x;
  Raw<T, Width> shortcut{};  // zeros where there is none

  __device__ static RawPair load(const NormActForwardArgs& args, std::int64_t at) {
    RawPair pair;
    pair.x = load_raw<Width>(static_cast<const T*>(args.x) + at);
    if (args.shortcut != nullptr) pair.shortcut = load_raw<Width>(static_cast<const T*>(args.shortcut) + at);
    return pair;
  }
  /// act(z)
  __device__ void activate(const Normalization<Width>& normalization, const Clamp& clamp, float (&y)[Width]) const {
    float value[Width];
    float addend[Width];
    unpack(x, value);
    unpack(shortcut, addend);
    for (int i = 0; i < Width; ++i) y[i] = clamp.apply(normalization.z(value[i], addend[i], i));
  }
};

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    find_largest(ChannelTiles tiles, NormActForwardArgs args, GridMemory memory) {
  BSQ_SHARED(float, shared, [kTileWarps]);
  const TilePlace place(tiles);
  float largest = 0;
  if (place.active) {
    const Normalization<Width> normalization(args, place.channel);
    const Clamp clamp(args.rule.activation, args.parameters.clip);
    for_rows<kRowsInFlight>(
        tiles, place,
        [&](std::int64_t row) { return RawPair<T, Width>::load(args, row * tiles.channels + place.channel); },
        [&](std::int64_t, const RawPair<T, Width>& pair) {
          float y[Width];
          pair.activate(normalization, clamp, y);
          for (int i = 0; i < Width; ++i) largest = Largest()(largest, fabsf(y[i]));
        });
  }
  save_largest(largest, blockIdx.y * gridDim.x + blockIdx.x, gridDim.x * gridDim.y, args.saved.act_scale, shared,
               memory);
}

/// The grid that activations are rounded to: all levels are 0 where S is, or is too small for its steps to be told
/// apart.
struct LevelGrid {
  float levels_per_one = 0;
  float unit = 0;
  float limit = 0;  // S

  __device__ explicit LevelGrid(const NormActForwardArgs& args) {
    constexpr float largest_ratio = 1e38F;
    if (args.rule.act_bits == 0) return;
    const auto levels = static_cast<float>((1 << args.rule.act_bits) - 1);
    const float act_scale = args.act_scale != nullptr ? *args.act_scale : *args.saved.act_scale;
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

/// What nobody has written yet of what forward leaves behind: the statistics where they are the running ones, and the
/// scale where it was given.
template <int Width>
__device__ void save_given(const NormActForwardArgs& args, const TilePlace& place,
                           const Normalization<Width>& normalization, const LevelGrid& grid) {
  if (blockIdx.x != 0 || place.lane != 0) return;
  if (!args.rule.batch_statistics) {
    for (int i = 0; i < Width; ++i) {
      args.saved.mean[place.channel + i] = normalization.mean[i];
      args.saved.inv_std[place.channel + i] = normalization.inv_std[i];
    }
  }
  if (place.channel != 0) return;
  if (args.rule.act_bits > 0 && args.act_scale != nullptr) *args.saved.act_scale = *args.act_scale;
  if (args.y_unit != nullptr) *args.y_unit = grid.unit;
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    write_activations(ChannelTiles tiles, NormActForwardArgs args) {
  const TilePlace place(tiles);
  if (!place.active) return;
  const Normalization<Width> normalization(args, place.channel);
  const Clamp clamp(args.rule.activation, args.parameters.clip);
  const LevelGrid grid(args);
  save_given(args, place, normalization, grid);
  const float stored_level = args.y_unit != nullptr ? 1.0F : grid.unit;
  for_rows<kRowsInFlight>(
      tiles, place,
      [&](std::int64_t row) { return RawPair<T, Width>::load(args, row * tiles.channels + place.channel); },
      [&](std::int64_t row, const RawPair<T, Width>& pair) {
        float y[Width];
        pair.activate(normalization, clamp, y);
        if (args.rule.act_bits > 0)
          for (int i = 0; i < Width; ++i) y[i] = grid.level(y[i]) * stored_level;
        store<Width>(static_cast<T*>(args.y) + row * tiles.channels + place.channel, y);
      });
}

template <typename T, int Width>
void run(const NormActForwardArgs& args, const ChannelTiles& tiles, const GridMemory& memory, cudaStream_t stream) {
  const int channels = args.geometry.channels;
  const bool wants_maximum = args.rule.act_bits > 0 && args.act_scale == nullptr;
  BatchSlice* slice = args.rule.batch_statistics ? args.slice : nullptr;
  FirstPass pass{.with_moments = args.rule.batch_statistics,
                 .with_extremes = wants_maximum && args.shortcut == nullptr,
                 .partials = {static_cast<float*>(args.scratch), kFields, channels},
                 .moments = {},
                 .extremes = {},
                 .memory = memory};
  if (slice != nullptr) {
    float* behind = pass.partials.values + std::int64_t{tiles.row_blocks} * kFields * channels;
    pass.moments = {behind, behind + channels, static_cast<double>(slice->rows_of_batch(tiles.rows))};
    pass.extremes = {behind + 2 * channels, behind + 3 * channels};
  }
  if (pass.with_moments || pass.with_extremes)
    launch(sum_moments<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args, pass);
  if (slice != nullptr) {
    slice->average(pass.moments.first, 2 * static_cast<std::size_t>(channels));
    const auto blocks = static_cast<unsigned>((channels + kTileThreads - 1) / kTileThreads);
    launch(finish_over_all_slices, dim3(blocks), dim3(kTileThreads), 0, stream, args, pass);
  }
  if (wants_maximum && args.shortcut != nullptr)
    launch(find_largest<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args, memory);
  if (wants_maximum && slice != nullptr) slice->maximum(args.saved.act_scale, 1);
  launch(write_activations<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args);
}

}  // namespace

std::size_t norm_act_scratch_bytes(const NormActGeometry& geometry, const DeviceContext& on) {
  constexpr int fields_of_slices = 4;  // moments and extremes; backward has fewer fields of either kind
  const int row_blocks = with_element(geometry.dtype, [&]<typename T>() {
    return ChannelTiles(geometry.rows, geometry.channels, kVectorWidth<T>, on.memory.multiprocessors).row_blocks;
  });
  return static_cast<std::size_t>(row_blocks * kFields + fields_of_slices) *
         static_cast<std::size_t>(geometry.channels) * sizeof(float);
}

void norm_act_forward(const NormActForwardArgs& args, const DeviceContext& on) {
  with_tiles(
      args.geometry.dtype, args.geometry.rows, args.geometry.channels, on.memory.multiprocessors,
      [&]<typename T, int Width>(const ChannelTiles& tiles) { run<T, Width>(args, tiles, on.memory, on.stream); });
}

}  // namespace bsq::cuda
