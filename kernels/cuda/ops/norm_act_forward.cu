// norm_act forward: batch norm, shortcut, activation and quantizer of a tensor [rows, C].
//
// Reads x for the statistics (and, without a shortcut, each channel's extremes, which give the activation's maximum),
// reads x and the shortcut once more to write y. With a shortcut and a quantizer the maximum takes a pass of its own.
// The last block of a pass finishes its sums, so that there is no launch between two passes. If one of our own
// convolutions has written x and left its statistics, there is no pass for them; and none at all if one of them reads y
// and makes it of x itself.
// Least bytes, e = bytes of an element: 3 e rows C; + e rows C with a shortcut, + 2 e rows C more if quantized.
// Where nothing is normalized there are no statistics: 2 e rows C; + e rows C with a shortcut; if quantized, what is
// read is read twice.
#include "kernels/batch_slice.h"
#include "kernels/cuda/device/norm_levels.cuh"
#include "kernels/cuda/device/norm_statistics.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/cuda/vendor/dense_math.h"

namespace bsq::cuda {
namespace {

constexpr int kRowsPerWriter = 2;  // per lane: few, since writers leave no sums that more blocks would make more of

enum Field { kSum, kSquares, kNegatedLow, kHigh, kFields };  // so that both extremes are maxima
constexpr int kMomentFields = kNegatedLow;                   // these come first

/// What the pass over x computes, and where its partial sums go.
struct FirstPass {
  bool with_moments = false;
  bool clears_act_scale = false;  // before find_largest
  RowCount rows;
  PartialTable partials;
  SliceMoments moments;
  Extremes extremes;
  GridMemory memory;
};

/// Called by the last block of a column tile, with the sums of one of its channels.
template <int Fields>
__device__ float finish_channel(const NormActForwardArgs& args, const FirstPass& pass, const StatisticsFacts& facts,
                                float pivot, int channel, const double (&sums)[Fields]) {
  float mean = facts.running_mean_of_x();
  float inv_std = 0;
  if (!pass.with_moments) {
    inv_std = 1.0F / sqrtf(facts.running_var + args.rule.epsilon);
  } else {
    const Statistics own = statistics_of(pivot, sums[kSum], sums[kSquares], pass.rows, facts.x_unit);
    if (pass.moments.first == nullptr) {
      mean = static_cast<float>(own.mean);
      inv_std = save_statistics(own, args, channel, facts);
    } else {
      pass.moments.set(own, facts.running_mean_of_x(), channel);
    }
  }
  if constexpr (Fields == kFields) {
    const auto low = static_cast<float>(-sums[kNegatedLow]);
    const auto high = static_cast<float>(sums[kHigh]);
    if (pass.extremes.low == nullptr)
      return largest_of(args, Normalization<1>(facts.x_unit, mean, inv_std, facts.gamma, facts.beta), low, high);
    pass.extremes.low[channel] = low;
    pass.extremes.high[channel] = high;
  }
  return 0;
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width, bool Pitched, bool WithExtremes>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    sum_moments(ChannelTiles tiles, NormActForwardArgs args, FirstPass pass) {
  constexpr int fields = WithExtremes ? kFields : kMomentFields;
  using RowBlocks = RowBlockSums<Width, fields>;
  BSQ_SHARED(float, shared, [fields * kTileThreads * Width]);
  BSQ_SHARED(double, shared_sums, [RowBlocks::kSharedDoubles]);
  const TilePlace place(tiles);
  wait_for_previous();
  const auto* x = static_cast<const T*>(args.x);
  TileRows rows(tiles, place, gap_of<Pitched>(args.geometry),
                [&](RowPlace<Pitched> at) { return load_raw<Width>(x + at.in_pitched()); });
  float pivot[Width] = {};  // x[0, c], which is taken off: a channel far from zero loses no digits then
  if (place.active) load<Width>(x + place.channel, pivot);
  if (pass.clears_act_scale && blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) *args.saved.act_scale = 0;
  float sums[fields][Width] = {};
  Range<T, Width> range;
  rows.for_each([&](RowPlace<Pitched>, const Raw<T, Width>& raw) {
    float value[Width];
    unpack(raw, value);
    for (int i = 0; i < Width; ++i) {
      const float centred = value[i] - pivot[i];
      sums[kSum][i] += centred;
      sums[kSquares][i] = fmaf(centred, centred, sums[kSquares][i]);
    }
    if constexpr (WithExtremes) range.add(raw);
  });
  if constexpr (WithExtremes) range.get(sums[kNegatedLow], sums[kHigh]);
  const RowBlocks row_blocks(tiles);
  const int channel = row_blocks.channel(tiles);
  const StatisticsFacts facts = StatisticsFacts::load(args, channel);
  float own_pivot[1] = {};
  if (channel < tiles.channels) load<1>(x + channel, own_pivot);
  const FieldRule<kMomentFields> rule;
  reduce_lanes(tiles, place, sums, shared, rule, [&](int field, int of_channel, float sum) {
    *pass.partials.at(static_cast<int>(blockIdx.x), field, of_channel) = sum;
  });
  if (!arrives_last(pass.memory.counters + blockIdx.y, gridDim.x)) return;
  double found[fields];
  row_blocks.combine(tiles, pass.partials, rule, found, shared_sums);
  const float largest =
      channel < tiles.channels ? finish_channel(args, pass, facts, own_pivot[0], channel, found) : 0.0F;
  if (WithExtremes && pass.extremes.low == nullptr)
    save_largest(largest, blockIdx.y, gridDim.y, args.saved.act_scale, shared, pass.memory);
}

// grid enough for all, block kTileThreads, one thread per channel
__global__ void finish_over_all_slices(NormActForwardArgs args, FirstPass pass, bool with_extremes) {
  wait_for_previous();
  BSQ_SHARED(float, shared, [kTileWarps]);
  const int channel = static_cast<int>(blockIdx.x) * kTileThreads + static_cast<int>(threadIdx.x);
  const bool leads = channel < args.geometry.channels;
  if (leads) {
    StatisticsFacts facts;
    facts.load_running_statistics(args, channel);
    save_statistics(pass.moments.statistics(facts.running_mean_of_x(), channel), args, channel, facts);
  }
  if (!with_extremes) return;
  float largest = 0;
  if (leads)
    largest =
        largest_of(args, Normalization<1>(args, channel), pass.extremes.low[channel], pass.extremes.high[channel]);
  save_largest(largest, blockIdx.x, gridDim.x, args.saved.act_scale, shared, pass.memory);
}

/// The larger of two numbers that are not below 0, by a comparison of their bits: one instruction, and a NaN wins.
__device__ int larger_bits(int bits, float number) {
  const int others = __float_as_int(fabsf(number));
  return bits > others ? bits : others;
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time. `is_cleared`: the
// scale is 0, and no block has to wait for the others.
template <typename T, int Width, bool Pitched, bool Rounds>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    find_largest(ChannelTiles tiles, NormActForwardArgs args, bool is_cleared, GridMemory memory) {
  BSQ_SHARED(float, shared, [kTileWarps]);
  const TilePlace place(tiles);
  wait_for_previous();
  TileRows rows(tiles, place, gap_of<Pitched>(args.geometry),
                [&](RowPlace<Pitched> at) { return RawPair<T, Width>::load(args, at); });
  int largest = 0;
  if (place.active) {
    const Normalization<Width> normalization(args, place.channel);
    const Clamp clamp(args.rule.activation, args.parameters.clip);
    const RangeGridsIf<Rounds> grids(args.ranges);
    rows.for_each([&](RowPlace<Pitched>, const RawPair<T, Width>& pair) {
      float y[Width];
      pair.activate(normalization, clamp, grids, y);
      for (int i = 0; i < Width; ++i) largest = larger_bits(largest, y[i]);
    });
  }
  if (!is_cleared) {
    save_largest(__int_as_float(largest), blockIdx.y * gridDim.x + blockIdx.x, gridDim.x * gridDim.y,
                 args.saved.act_scale, shared, memory);
    return;
  }
  const float of_block = reduce_block(__int_as_float(largest), shared, Largest());
  if (threadIdx.x == 0) atomicMax(reinterpret_cast<int*>(args.saved.act_scale), __float_as_int(of_block));
}

/// Writes what no earlier pass has left for backward: the statistics if they are the running ones, and the scale if it
/// was given.
template <int Width>
__device__ void save_given(const NormActForwardArgs& args, const TilePlace& place,
                           const Normalization<Width>& normalization, const LevelGrid& grid) {
  if (blockIdx.x != 0 || place.lane != 0) return;
  if (args.rule.normalize && !args.rule.batch_statistics) {
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
template <typename T, int Width, bool Pitched, bool Rounds>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    write_activations(ChannelTiles tiles, NormActForwardArgs args) {
  const TilePlace place(tiles);
  wait_for_previous();
  if (!place.active) return;
  TileRows rows(tiles, place, gap_of<Pitched>(args.geometry),
                [&](RowPlace<Pitched> at) { return RawPair<T, Width>::load(args, at); });
  const Activations<T, Width, Rounds> activations(args, place.channel);
  save_given(args, place, activations.normalization(), activations.grid());
  rows.for_each([&](RowPlace<Pitched> at, const RawPair<T, Width>& pair) {
    float y[Width];
    activations.make(pair, y);
    store<Width>(static_cast<T*>(args.y) + at.dense, y);
  });
}

template <typename T, int Width, bool Pitched>
void run(const NormActForwardArgs& args, const ChannelTiles& tiles, bool has_statistics, const GridMemory& memory,
         cudaStream_t stream) {
  const int channels = args.geometry.channels;
  BatchSlice* slice = args.rule.batch_statistics ? args.slice : nullptr;
  const bool with_extremes = extremes_give_largest(args);
  const bool passes_again = wants_largest(args) && !with_extremes;
  FirstPass pass{.with_moments = args.rule.normalize && args.rule.batch_statistics,
                 .clears_act_scale = passes_again,
                 .rows = RowCount(tiles.rows),
                 .partials = {static_cast<float*>(args.scratch), kFields, channels},
                 .moments = {},
                 .extremes = {},
                 .memory = memory};
  if (slice != nullptr && pass.with_moments) {
    float* behind = pass.partials.values + std::int64_t{tiles.row_blocks} * kFields * channels;
    pass.moments = {behind, behind + channels, static_cast<double>(slice->rows_of_batch(tiles.rows))};
    pass.extremes = {behind + 2 * channels, behind + 3 * channels};
  }
  if (!has_statistics && (pass.with_moments || with_extremes))
    launch(with_extremes ? sum_moments<T, Width, Pitched, true> : sum_moments<T, Width, Pitched, false>, tiles.grid(),
           dim3(kTileThreads), 0, stream, tiles, args, pass);
  if (pass.moments.first != nullptr) {
    slice->average(pass.moments.first, 2 * static_cast<std::size_t>(channels));
    const auto blocks = static_cast<unsigned>((channels + kTileThreads - 1) / kTileThreads);
    launch(finish_over_all_slices, dim3(blocks), dim3(kTileThreads), 0, stream, args, pass, with_extremes);
  }
  const ChannelTiles writers(tiles.rows, channels, Width, memory.multiprocessors, kRowsPerWriter);
  if (passes_again)
    launch(args.ranges.any() ? find_largest<T, Width, Pitched, true> : find_largest<T, Width, Pitched, false>,
           writers.grid(), dim3(kTileThreads), 0, stream, writers, args, pass.with_moments, memory);
  if (wants_largest(args) && slice != nullptr) slice->maximum(args.saved.act_scale, 1);
  launch(args.ranges.any() ? write_activations<T, Width, Pitched, true> : write_activations<T, Width, Pitched, false>,
         writers.grid(), dim3(kTileThreads), 0, stream, writers, args);
}

}  // namespace

std::size_t norm_act_scratch_bytes(const NormActGeometry& geometry, const DeviceContext& on) {
  constexpr int fields_of_slices = 4;  // moments and extremes; backward has fewer fields of either kind
  int row_blocks = 0;                  // the most that any access makes, since the pitch is not known
  with_element(geometry.dtype, [&]<typename T>() {
    for (int width = kVectorWidth<T>; width > 0; width /= 2) {
      const ChannelTiles tiles(geometry.rows, geometry.channels, width, on.memory.multiprocessors);
      row_blocks = tiles.row_blocks > row_blocks ? tiles.row_blocks : row_blocks;
    }
  });
  return static_cast<std::size_t>(row_blocks * kFields + fields_of_slices) *
         static_cast<std::size_t>(geometry.channels) * sizeof(float);
}

void norm_act_forward(const NormActForwardArgs& args, const DeviceContext& on) {
  if (args.read_by != nullptr && on.math->applies_norm(*args.read_by, args)) return;
  const bool has_statistics = args.x_from != nullptr && on.math->leaves_statistics(*args.x_from, args);
  with_rows(args.geometry, on.memory.multiprocessors,
            [&]<typename T, int Width, bool Pitched>(const ChannelTiles& tiles) {
              run<T, Width, Pitched>(args, tiles, has_statistics, on.memory, on.stream);
            });
}

}  // namespace bsq::cuda
