// norm_act backward: one pass for the sums of a channel, whose last block finishes them, one that writes dx and
// d_shortcut; z is recomputed, not stored. If one of our own convolutions has written dy and left the sums, there is no
// pass for them.
//
// Least bytes, e = bytes of an element: 5 e rows C (x and dy twice, dx once); with a shortcut 3 e rows C more, and one
// e rows C more for each gradient that is accumulated. Where nothing is normalized dx needs no sums, and one pass does
// all: 3 e rows C, with a shortcut 2 e rows C more; without an activation dy alone is read.
#include "kernels/batch_slice.h"
#include "kernels/cuda/device/norm_gradients.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/cuda/vendor/dense_math.h"

namespace bsq::cuda {
namespace {

constexpr int kRowsPerWriter = 2;  // per lane: few, since writers leave no sums that more blocks would make more of

/// Adds what is in memory to `value`.
template <int Width, typename T>
__device__ void add_stored(const T* from, float (&value)[Width]) {
  float before[Width];
  load<Width>(from, before);
  for (int i = 0; i < Width; ++i) value[i] += before[i];
}

/// Writes d_value to d_x, and d_z in its unit to d_shortcut, if there is one; or adds them.
template <int Width, typename T, bool Pitched>
__device__ void write_vectors(const NormActBackwardArgs& args, RowPlace<Pitched> at, float shortcut_unit,
                              float (&d_value)[Width], float (&d_z)[Width]) {
  T* d_x = static_cast<T*>(args.d_x) + at.in_pitched();
  if (args.x_mode == GradMode::accumulate) add_stored<Width>(d_x, d_value);
  store<Width>(d_x, d_value);
  if (args.d_shortcut == nullptr) return;
  T* d_shortcut = static_cast<T*>(args.d_shortcut) + at.dense;
  float before[Width] = {};
  if (args.shortcut_mode == GradMode::accumulate) load<Width>(d_shortcut, before);
  for (int i = 0; i < Width; ++i) d_z[i] = fmaf(d_z[i], shortcut_unit, before[i]);
  store<Width>(d_shortcut, d_z);
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width, bool Pitched, bool WithClipped>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    sum_gradients(ChannelTiles tiles, NormActBackwardArgs args, PartialTable partials, Coefficients coefficients,
                  double per_row, GridMemory memory) {
  constexpr int fields = WithClipped ? kGradientFields : kClipped;
  using RowBlocks = RowBlockSums<Width, fields>;
  BSQ_SHARED(float, shared, [fields * kTileThreads * Width]);
  BSQ_SHARED(double, shared_sums, [RowBlocks::kSharedDoubles]);
  BSQ_SHARED(double, shared_clipped, [kTileWarps]);
  const TilePlace place(tiles);
  wait_for_previous();
  TileRows rows(tiles, place, gap_of<Pitched>(args.geometry),
                [&](RowPlace<Pitched> at) { return RawTriple<T, Width>::load(args, at); });
  float sums[fields][Width] = {};
  if (place.active) {
    const Scaling scaling(args);
    const Normalization<Width> normalization(args, place.channel);
    const float dy_factor = scaling.dy_per_stored();
    rows.for_each([&](RowPlace<Pitched>, const RawTriple<T, Width>& raw) {
      add_gradients(Gradients<T, Width>(raw, normalization, dy_factor), scaling, sums);
    });
  }
  const RowBlocks row_blocks(tiles);
  const int channel = row_blocks.channel(tiles);
  const GradientFacts facts(args, channel);
  const FieldRule<fields> rule;
  reduce_lanes(tiles, place, sums, shared, rule, [&](int field, int of_channel, float sum) {
    *partials.at(static_cast<int>(blockIdx.x), field, of_channel) = sum;
  });
  if (!arrives_last(memory.counters + blockIdx.y, gridDim.x)) return;
  double found[fields];
  row_blocks.combine(tiles, partials, rule, found, shared_sums);
  const bool leads = channel < tiles.channels;
  if (leads) finish_gradients(args, facts, coefficients, channel, found[kGradientSum], found[kProjection], per_row);
  if constexpr (WithClipped)
    save_d_clip(args, leads ? found[kClipped] : 0.0, blockIdx.y, gridDim.y, memory, shared_clipped);
}

// grid enough for all, block kTileThreads, one thread per channel
__global__ void finish_over_all_slices(NormActBackwardArgs args, Coefficients coefficients, double per_row) {
  wait_for_previous();
  const int channel = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (channel < args.geometry.channels)
    coefficients.set(GradientFacts(args, channel), channel, coefficients.slope[channel], coefficients.offset[channel],
                     per_row);
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width, bool Pitched>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    write_gradients(ChannelTiles tiles, NormActBackwardArgs args, Coefficients coefficients) {
  const TilePlace place(tiles);
  wait_for_previous();
  if (!place.active) return;
  TileRows rows(tiles, place, gap_of<Pitched>(args.geometry),
                [&](RowPlace<Pitched> at) { return RawTriple<T, Width>::load(args, at); });
  float slope[Width];
  float offset[Width];
  load_floats(coefficients.slope + place.channel, slope);
  load_floats(coefficients.offset + place.channel, offset);
  const Scaling scaling(args);
  const Normalization<Width> normalization(args, place.channel);
  const float dy_factor = scaling.dy_per_stored();
  rows.for_each([&](RowPlace<Pitched> to, const RawTriple<T, Width>& raw) {
    const Gradients<T, Width> at(raw, normalization, dy_factor);
    float d_z[Width];
    float d_value[Width];
    for (int i = 0; i < Width; ++i) {
      d_z[i] = scaling.clamp.passes(at.z[i]) ? at.d_y[i] : 0.0F;
      const float scale = normalization.scale[i] * normalization.x_unit;
      d_value[i] = fmaf(d_z[i], scale, fmaf(at.centred[i], slope[i], offset[i]));
    }
    write_vectors<Width, T>(args, to, normalization.shortcut_unit, d_value, d_z);
  });
}

/// The sums of a channel where nothing is normalized.
enum BiasField { kBiasSum, kBiasClipped };

// Where nothing is normalized. `Fields`: how many sums are wanted. grid (row blocks, column tiles), block kTileThreads,
// one thread per vector of a row at a time
template <typename T, int Width, bool Pitched, int Fields>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    write_biased_gradients(ChannelTiles tiles, NormActBackwardArgs args, PartialTable partials, GridMemory memory) {
  const TilePlace place(tiles);
  wait_for_previous();
  const bool needs_z = args.rule.activation != Activation::none;
  TileRows rows(tiles, place, gap_of<Pitched>(args.geometry), [&](RowPlace<Pitched> at) {
    return needs_z ? RawTriple<T, Width>::load(args, at) : RawTriple<T, Width>::load_d_y(args, at);
  });
  float sums[Fields > 0 ? Fields : 1][Width] = {};
  if (place.active) {
    const Scaling scaling(args);
    const Normalization<Width> normalization(args, place.channel);
    const float dy_factor = scaling.dy_per_stored();
    rows.for_each([&](RowPlace<Pitched> to, const RawTriple<T, Width>& raw) {
      const Gradients<T, Width> at(raw, normalization, dy_factor);
      float d_z[Width];
      float d_value[Width];
      for (int i = 0; i < Width; ++i) {
        d_z[i] = scaling.clamp.passes(at.z[i]) ? at.d_y[i] : 0.0F;
        d_value[i] = d_z[i] * normalization.x_unit;
        if constexpr (Fields > kBiasSum) sums[kBiasSum][i] += d_z[i];
        if constexpr (Fields > kBiasClipped) sums[kBiasClipped][i] += scaling.to_ceiling(at.z[i], at.d_y[i]);
      }
      write_vectors<Width, T>(args, to, normalization.shortcut_unit, d_value, d_z);
    });
  }
  if constexpr (Fields > 0) {
    using RowBlocks = RowBlockSums<Width, Fields>;
    BSQ_SHARED(float, shared, [Fields * kTileThreads * Width]);
    BSQ_SHARED(double, shared_sums, [RowBlocks::kSharedDoubles]);
    BSQ_SHARED(double, shared_clipped, [kTileWarps]);
    const RowBlocks row_blocks(tiles);
    const FieldRule<Fields> rule;
    reduce_lanes(tiles, place, sums, shared, rule, [&](int field, int of_channel, float sum) {
      *partials.at(static_cast<int>(blockIdx.x), field, of_channel) = sum;
    });
    if (!arrives_last(memory.counters + blockIdx.y, gridDim.x)) return;
    double found[Fields];
    row_blocks.combine(tiles, partials, rule, found, shared_sums);
    const int channel = row_blocks.channel(tiles);
    const bool leads = channel < tiles.channels;
    if (leads && args.gradients.d_beta != nullptr) args.gradients.d_beta[channel] = static_cast<float>(found[kBiasSum]);
    if constexpr (Fields > kBiasClipped)
      save_d_clip(args, leads ? found[kBiasClipped] : 0.0, blockIdx.y, gridDim.y, memory, shared_clipped);
  }
}

template <typename T, int Width, bool Pitched>
void run_biased(const NormActBackwardArgs& args, const ChannelTiles& tiles, const GridMemory& memory,
                cudaStream_t stream) {
  const auto launch_with = [&]<int Fields>(const ChannelTiles& cut) {
    const PartialTable partials{static_cast<float*>(args.scratch), Fields, args.geometry.channels};
    launch(write_biased_gradients<T, Width, Pitched, Fields>, cut.grid(), dim3(kTileThreads), 0, stream, cut, args,
           partials, memory);
  };
  if (learns_ceiling(args.rule.activation)) return launch_with.template operator()<2>(tiles);
  if (args.gradients.d_beta != nullptr) return launch_with.template operator()<1>(tiles);
  launch_with.template operator()<0>(
      ChannelTiles(tiles.rows, tiles.channels, Width, memory.multiprocessors, kRowsPerWriter));
}

template <typename T, int Width, bool Pitched>
void run(const NormActBackwardArgs& args, const ChannelTiles& tiles, bool has_sums, const GridMemory& memory,
         cudaStream_t stream) {
  if (!args.rule.normalize) return run_biased<T, Width, Pitched>(args, tiles, memory, stream);
  const int channels = args.geometry.channels;
  const PartialTable partials{static_cast<float*>(args.scratch), kGradientFields, channels};
  float* behind = partials.values + std::int64_t{tiles.row_blocks} * kGradientFields * channels;
  const Coefficients coefficients = has_sums ? saved_coefficients(args) : Coefficients{behind, behind + channels};
  const double per_row = 1.0 / static_cast<double>(tiles.rows);
  const bool with_clipped = learns_ceiling(args.rule.activation);
  if (!has_sums)
    launch(with_clipped ? sum_gradients<T, Width, Pitched, true> : sum_gradients<T, Width, Pitched, false>,
           tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args, partials, coefficients, per_row, memory);
  if (args.slice != nullptr) {
    args.slice->average(coefficients.slope, 2 * static_cast<std::size_t>(channels));
    const auto blocks = static_cast<unsigned>((channels + kTileThreads - 1) / kTileThreads);
    launch(finish_over_all_slices, dim3(blocks), dim3(kTileThreads), 0, stream, args, coefficients, per_row);
  }
  const ChannelTiles writers(tiles.rows, channels, Width, memory.multiprocessors, kRowsPerWriter);
  launch(write_gradients<T, Width, Pitched>, writers.grid(), dim3(kTileThreads), 0, stream, writers, args,
         coefficients);
}

}  // namespace

void norm_act_backward(const NormActBackwardArgs& args, const DeviceContext& on) {
  const bool has_sums = args.d_y_from != nullptr && on.math->leaves_sums(*args.d_y_from, args);
  with_rows(args.geometry, on.memory.multiprocessors,
            [&]<typename T, int Width, bool Pitched>(const ChannelTiles& tiles) {
              run<T, Width, Pitched>(args, tiles, has_sums, on.memory, on.stream);
            });
}

}  // namespace bsq::cuda
