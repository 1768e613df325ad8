// norm_act backward: one pass for the sums of a channel, whose last block finishes them, one that writes dx and
// d_shortcut; z is recomputed, not stored.
//
// Least bytes, e = bytes of an element: 5 e rows C (x and dy twice, dx once); with a shortcut 3 e rows C more, and one
// e rows C more for each gradient that is accumulated.
#include "kernels/batch_slice.h"
#include "kernels/cuda/device/norm_act.cuh"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {
namespace {

constexpr int kRowsPerWriter = 2;  // per lane: few, since writers leave no sums that more blocks would make more of

enum Field { kSum, kProjection, kClipped, kFields };

/// The numbers of a channel besides its sums. The last block needs them; all blocks begin to read them before they know
/// which one is the last, so that they have arrived by then.
struct ChannelFacts {
  float x_unit = 0;
  float gamma = 0;
  float inv_std = 0;

  __device__ ChannelFacts(const NormActBackwardArgs& args, int channel) {
    if (channel >= args.geometry.channels) return;
    x_unit = value_of(args.x_unit);
    gamma = args.parameters.gamma[channel];
    inv_std = args.saved.inv_std[channel];
  }
};

/// d_x = x_unit scale dz + slope (x - mean) + offset; [C] each, behind the partial sums. Before slope and offset are
/// known, they hold what the ranks exchange: the sums of dz and of dz (x - mean).
struct Coefficients {
  float* slope = nullptr;
  float* offset = nullptr;

  __device__ void set(const ChannelFacts& facts, int channel, double sum, double projection, double per_row) const {
    const double inv_std = facts.inv_std;
    const double scale = static_cast<double>(facts.x_unit) * facts.gamma * inv_std;
    slope[channel] = static_cast<float>(-scale * inv_std * inv_std * projection * per_row);
    offset[channel] = static_cast<float>(-scale * sum * per_row);
  }
};

/// One vector each of x, dy and the shortcut, as they lie in memory.
template <typename T, int Width>
struct RawTriple {
  Raw<T, Width> x;
  Raw<T, Width> d_y;
  Raw<T, Width> shortcut{};  // zeros if there is none

  __device__ static RawTriple load(const NormActBackwardArgs& args, std::int64_t at) {
    RawTriple triple;
    triple.x = load_raw<Width>(static_cast<const T*>(args.x) + at);
    triple.d_y = load_raw<Width>(static_cast<const T*>(args.d_y) + at);
    if (args.shortcut != nullptr) triple.shortcut = load_raw<Width>(static_cast<const T*>(args.shortcut) + at);
    return triple;
  }
};

/// One vector each of x - mean, dy and z.
template <typename T, int Width>
struct Gradients {
  float centred[Width];
  float d_y[Width];
  float z[Width];

  __device__ Gradients(const RawTriple<T, Width>& raw, const Normalization<Width>& normalization, float dy_factor) {
    float value[Width];
    float addend[Width];
    unpack(raw.x, value);
    unpack(raw.d_y, d_y);
    unpack(raw.shortcut, addend);
    for (int i = 0; i < Width; ++i) {
      centred[i] = normalization.centred(value[i], i);
      z[i] = normalization.z(value[i], addend[i], i);
      d_y[i] *= dy_factor;
    }
  }
};

/// The factors that all channels have in common.
struct Scaling {
  Clamp clamp;
  float y_unit;

  __device__ explicit Scaling(const NormActBackwardArgs& args)
      : clamp(args.rule.activation, args.parameters.clip), y_unit(args.y_unit == nullptr ? 1.0F : *args.y_unit) {}
  /// The factor that makes dy of a d_y with respect to levels.
  __device__ float dy_per_stored() const { return y_unit == 0.0F ? 0.0F : 1.0F / y_unit; }
};

/// Adds what is in memory to `value`.
template <int Width, typename T>
__device__ void add_stored(const T* from, float (&value)[Width]) {
  float before[Width];
  load<Width>(from, before);
  for (int i = 0; i < Width; ++i) value[i] += before[i];
}

/// Called by the last block of a column tile, with the sums of one of its channels.
__device__ void finish_channel(const NormActBackwardArgs& args, const ChannelFacts& facts,
                               const Coefficients& coefficients, int channel, double sum, double projection,
                               double per_row) {
  args.gradients.d_beta[channel] = static_cast<float>(sum);
  args.gradients.d_gamma[channel] = static_cast<float>(projection * facts.inv_std);
  if (args.slice == nullptr) {
    coefficients.set(facts, channel, sum, projection, per_row);
  } else {
    coefficients.slope[channel] = static_cast<float>(sum);
    coefficients.offset[channel] = static_cast<float>(projection);
  }
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width, bool WithClipped>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    sum_gradients(ChannelTiles tiles, NormActBackwardArgs args, PartialTable partials, Coefficients coefficients,
                  double per_row, GridMemory memory) {
  constexpr int fields = WithClipped ? kFields : kClipped;
  using RowBlocks = RowBlockSums<Width, fields>;
  BSQ_SHARED(float, shared, [fields * kTileThreads * Width]);
  BSQ_SHARED(double, shared_sums, [RowBlocks::kSharedDoubles]);
  BSQ_SHARED(double, shared_clipped, [kTileWarps]);
  const TilePlace place(tiles);
  wait_for_previous();
  TileRows rows(tiles, place, [&](std::int64_t at) { return RawTriple<T, Width>::load(args, at); });
  float sums[fields][Width] = {};
  if (place.active) {
    const Scaling scaling(args);
    const Normalization<Width> normalization(args, place.channel);
    const float dy_factor = scaling.dy_per_stored();
    rows.for_each([&](std::int64_t, const RawTriple<T, Width>& raw) {
      const Gradients<T, Width> at(raw, normalization, dy_factor);
      for (int i = 0; i < Width; ++i) {
        const float d_z = scaling.clamp.passes(at.z[i]) ? at.d_y[i] : 0.0F;
        sums[kSum][i] += d_z;
        sums[kProjection][i] = fmaf(d_z, at.centred[i], sums[kProjection][i]);
        if constexpr (WithClipped)
          if (at.z[i] >= scaling.clamp.ceiling) sums[kClipped][i] += at.d_y[i];
      }
    });
  }
  const RowBlocks row_blocks(tiles);
  const int channel = row_blocks.channel(tiles);
  const ChannelFacts facts(args, channel);
  const FieldRule<fields> rule;
  reduce_lanes(tiles, place, sums, shared, rule, [&](int field, int of_channel, float sum) {
    *partials.at(static_cast<int>(blockIdx.x), field, of_channel) = sum;
  });
  if (!arrives_last(memory.counters + blockIdx.y, gridDim.x)) return;
  double found[fields];
  row_blocks.combine(tiles, partials, rule, found, shared_sums);
  const bool leads = channel < tiles.channels;
  if (leads) finish_channel(args, facts, coefficients, channel, found[kSum], found[kProjection], per_row);
  if constexpr (WithClipped) {
    double d_clip = reduce_block(leads ? found[kClipped] : 0.0, shared_clipped, Sum());
    const bool is_last =
        combine_blocks(d_clip, blockIdx.y, gridDim.y, static_cast<double*>(memory.sums), memory.last_counter(), Sum());
    if (is_last && threadIdx.x == 0) *args.gradients.d_clip = static_cast<float>(d_clip);
  }
}

// grid enough for all, block kTileThreads, one thread per channel
__global__ void finish_over_all_slices(NormActBackwardArgs args, Coefficients coefficients, double per_row) {
  wait_for_previous();
  const int channel = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (channel < args.geometry.channels)
    coefficients.set(ChannelFacts(args, channel), channel, coefficients.slope[channel], coefficients.offset[channel],
                     per_row);
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    write_gradients(ChannelTiles tiles, NormActBackwardArgs args, Coefficients coefficients) {
  const TilePlace place(tiles);
  wait_for_previous();
  if (!place.active) return;
  auto* d_x = static_cast<T*>(args.d_x);
  auto* d_shortcut = static_cast<T*>(args.d_shortcut);
  TileRows rows(tiles, place, [&](std::int64_t at) { return RawTriple<T, Width>::load(args, at); });
  float slope[Width];
  float offset[Width];
  load_floats(coefficients.slope + place.channel, slope);
  load_floats(coefficients.offset + place.channel, offset);
  const Scaling scaling(args);
  const Normalization<Width> normalization(args, place.channel);
  const float dy_factor = scaling.dy_per_stored();
  rows.for_each([&](std::int64_t index, const RawTriple<T, Width>& raw) {
    const Gradients<T, Width> at(raw, normalization, dy_factor);
    float d_z[Width];
    float d_value[Width];
    for (int i = 0; i < Width; ++i) {
      d_z[i] = scaling.clamp.passes(at.z[i]) ? at.d_y[i] : 0.0F;
      const float scale = normalization.scale[i] * normalization.x_unit;
      d_value[i] = fmaf(d_z[i], scale, fmaf(at.centred[i], slope[i], offset[i]));
    }
    if (args.x_mode == GradMode::accumulate) add_stored<Width>(d_x + index, d_value);
    store<Width>(d_x + index, d_value);
    if (d_shortcut == nullptr) return;
    float before[Width] = {};
    if (args.shortcut_mode == GradMode::accumulate) load<Width>(d_shortcut + index, before);
    for (int i = 0; i < Width; ++i) d_z[i] = fmaf(d_z[i], normalization.shortcut_unit, before[i]);
    store<Width>(d_shortcut + index, d_z);
  });
}

template <typename T, int Width>
void run(const NormActBackwardArgs& args, const ChannelTiles& tiles, const GridMemory& memory, cudaStream_t stream) {
  const int channels = args.geometry.channels;
  const PartialTable partials{static_cast<float*>(args.scratch), kFields, channels};
  float* behind = partials.values + std::int64_t{tiles.row_blocks} * kFields * channels;
  const Coefficients coefficients{behind, behind + channels};
  const double per_row = 1.0 / static_cast<double>(tiles.rows);
  launch(args.rule.activation == Activation::pact ? sum_gradients<T, Width, true> : sum_gradients<T, Width, false>,
         tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args, partials, coefficients, per_row, memory);
  if (args.slice != nullptr) {
    args.slice->average(coefficients.slope, 2 * static_cast<std::size_t>(channels));
    const auto blocks = static_cast<unsigned>((channels + kTileThreads - 1) / kTileThreads);
    launch(finish_over_all_slices, dim3(blocks), dim3(kTileThreads), 0, stream, args, coefficients, per_row);
  }
  const ChannelTiles writers(tiles.rows, channels, kVectorWidth<T>, memory.multiprocessors, kRowsPerWriter);
  launch(write_gradients<T, Width>, writers.grid(), dim3(kTileThreads), 0, stream, writers, args, coefficients);
}

}  // namespace

void norm_act_backward(const NormActBackwardArgs& args, const DeviceContext& on) {
  with_tiles(
      args.geometry.dtype, args.geometry.rows, args.geometry.channels, on.memory.multiprocessors,
      [&]<typename T, int Width>(const ChannelTiles& tiles) { run<T, Width>(args, tiles, on.memory, on.stream); });
}

}  // namespace bsq::cuda
