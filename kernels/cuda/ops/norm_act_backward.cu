// norm_act backward: one pass for the sums of a channel, whose last block finishes them, one that writes dx and
// d_shortcut; z is recomputed, not stored.
//
// Least bytes, e = bytes of an element: 5 e rows C (x and dy twice, dx once); with a shortcut 3 e rows C more, and one
// e rows C more for each gradient that is accumulated. Where nothing is normalized dx needs no sums, and one pass does
// all: 3 e rows C, with a shortcut 2 e rows C more; without an activation dy alone is read.
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

  template <bool Pitched>
  __device__ static RawTriple load(const NormActBackwardArgs& args, RowPlace<Pitched> at) {
    RawTriple triple;
    triple.x = load_raw<Width>(static_cast<const T*>(args.x) + at.in_pitched());
    triple.d_y = load_raw<Width>(static_cast<const T*>(args.d_y) + at.dense);
    if (args.shortcut != nullptr) triple.shortcut = load_raw<Width>(static_cast<const T*>(args.shortcut) + at.dense);
    return triple;
  }
  /// dy alone, where z does not matter.
  template <bool Pitched>
  __device__ static RawTriple load_d_y(const NormActBackwardArgs& args, RowPlace<Pitched> at) {
    RawTriple triple{};
    triple.d_y = load_raw<Width>(static_cast<const T*>(args.d_y) + at.dense);
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

/// d_clip = the sum of what the column tiles bring, in the last of them to arrive.
__device__ void save_d_clip(const NormActBackwardArgs& args, double of_channel, const GridMemory& memory,
                            double* shared) {
  double d_clip = reduce_block(of_channel, shared, Sum());
  const bool is_last =
      combine_blocks(d_clip, blockIdx.y, gridDim.y, static_cast<double*>(memory.sums), memory.last_counter(), Sum());
  if (is_last && threadIdx.x == 0) *args.gradients.d_clip = static_cast<float>(d_clip);
}

/// What the last block of a column tile makes of the sums of one of its channels.
__device__ void finish_channel(const NormActBackwardArgs& args, const ChannelFacts& facts,
                               const Coefficients& coefficients, int channel, double sum, double projection,
                               double per_row) {
  args.gradients.d_beta[channel] = static_cast<float>(sum);
  args.gradients.d_gamma[channel] = static_cast<float>(projection * facts.inv_std);
  if (args.gradients.d_input_bias != nullptr) args.gradients.d_input_bias[channel] = 0;
  if (args.slice == nullptr) {
    coefficients.set(facts, channel, sum, projection, per_row);
  } else {
    coefficients.slope[channel] = static_cast<float>(sum);
    coefficients.offset[channel] = static_cast<float>(projection);
  }
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width, bool Pitched, bool WithClipped>
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
  TileRows rows(tiles, place, gap_of<Pitched>(args.geometry),
                [&](RowPlace<Pitched> at) { return RawTriple<T, Width>::load(args, at); });
  float sums[fields][Width] = {};
  if (place.active) {
    const Scaling scaling(args);
    const Normalization<Width> normalization(args, place.channel);
    const float dy_factor = scaling.dy_per_stored();
    rows.for_each([&](RowPlace<Pitched>, const RawTriple<T, Width>& raw) {
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
  if constexpr (WithClipped) save_d_clip(args, leads ? found[kClipped] : 0.0, memory, shared_clipped);
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
        if constexpr (Fields > kBiasClipped)
          if (at.z[i] >= scaling.clamp.ceiling) sums[kBiasClipped][i] += at.d_y[i];
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
    if constexpr (Fields > kBiasClipped) save_d_clip(args, leads ? found[kBiasClipped] : 0.0, memory, shared_clipped);
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
  if (args.rule.activation == Activation::pact) return launch_with.template operator()<2>(tiles);
  if (args.gradients.d_beta != nullptr) return launch_with.template operator()<1>(tiles);
  launch_with.template operator()<0>(
      ChannelTiles(tiles.rows, tiles.channels, Width, memory.multiprocessors, kRowsPerWriter));
}

template <typename T, int Width, bool Pitched>
void run(const NormActBackwardArgs& args, const ChannelTiles& tiles, const GridMemory& memory, cudaStream_t stream) {
  if (!args.rule.normalize) return run_biased<T, Width, Pitched>(args, tiles, memory, stream);
  const int channels = args.geometry.channels;
  const PartialTable partials{static_cast<float*>(args.scratch), kFields, channels};
  float* behind = partials.values + std::int64_t{tiles.row_blocks} * kFields * channels;
  const Coefficients coefficients{behind, behind + channels};
  const double per_row = 1.0 / static_cast<double>(tiles.rows);
  const bool with_clipped = args.rule.activation == Activation::pact;
  launch(with_clipped ? sum_gradients<T, Width, Pitched, true> : sum_gradients<T, Width, Pitched, false>, tiles.grid(),
         dim3(kTileThreads), 0, stream, tiles, args, partials, coefficients, per_row, memory);
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
  with_rows(args.geometry, on.memory.multiprocessors,
            [&]<typename T, int Width, bool Pitched>(const ChannelTiles& tiles) {
              run<T, Width, Pitched>(args, tiles, on.memory, on.stream);
            });
}

}  // namespace bsq::cuda
