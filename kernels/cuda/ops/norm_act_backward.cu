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

constexpr int kRowsInFlight = 2;  // of two or three vectors

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

/// A vector of x, dy and the shortcut, as they lie in memory.
template <typename T, int Width>
struct RawTriple {
  Raw<T, Width> x;
  Raw<T, Width> d_y;
  Raw<T, Width> shortcut{};  // zeros where there is none

  __device__ static RawTriple load(const NormActBackwardArgs& args, std::int64_t at) {
    RawTriple triple;
    triple.x = load_raw<Width>(static_cast<const T*>(args.x) + at);
    triple.d_y = load_raw<Width>(static_cast<const T*>(args.d_y) + at);
    if (args.shortcut != nullptr) triple.shortcut = load_raw<Width>(static_cast<const T*>(args.shortcut) + at);
    return triple;
  }
};

/// A vector of x - mean and dy, and the z it had.
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

/// dy of a d_y with respect to levels.
__device__ float dy_per_stored(const NormActBackwardArgs& args) {
  if (args.y_unit == nullptr) return 1.0F;
  return *args.y_unit == 0.0F ? 0.0F : 1.0F / *args.y_unit;
}

/// value += what is there.
template <int Width, typename T>
__device__ void add_stored(const T* from, float (&value)[Width]) {
  float before[Width];
  load<Width>(from, before);
  for (int i = 0; i < Width; ++i) value[i] += before[i];
}

/// What the last block of a column tile makes of its sums. `shared`: 2 kTileThreads.
__device__ void finish_tile(const ChannelTiles& tiles, const NormActBackwardArgs& args, const PartialTable& partials,
                            const Coefficients& coefficients, double* shared, const GridMemory& memory) {
  const int channel = channel_of_thread(tiles);
  double sums[2] = {};  // kSum, kProjection
  combine_row_blocks(tiles, partials, kSum, sums, shared, Sum());
  if (channel < tiles.channels) {
    const auto [sum, projection] = sums;
    args.gradients.d_beta[channel] = static_cast<float>(sum);
    args.gradients.d_gamma[channel] = static_cast<float>(projection * args.saved.inv_std[channel]);
    if (args.slice == nullptr) {
      coefficients.set(args, channel, sum, projection);
    } else {
      coefficients.slope[channel] = static_cast<float>(sum);
      coefficients.offset[channel] = static_cast<float>(projection);
    }
  }
  if (args.rule.activation != Activation::pact) return;
  double clipped[1] = {};
  combine_row_blocks(tiles, partials, kClipped, clipped, shared, Sum());
  double d_clip = reduce_block(channel < tiles.channels ? clipped[0] : 0.0, shared, Sum());
  const bool is_last =
      combine_blocks(d_clip, blockIdx.y, gridDim.y, static_cast<double*>(memory.sums), memory.last_counter(), Sum());
  if (is_last && threadIdx.x == 0) *args.gradients.d_clip = static_cast<float>(d_clip);
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    sum_gradients(ChannelTiles tiles, NormActBackwardArgs args, PartialTable partials, Coefficients coefficients,
                  GridMemory memory) {
  BSQ_SHARED(float, shared, [kTileThreads * Width]);
  BSQ_SHARED(double, shared_sums, [2 * kTileThreads]);
  const TilePlace place(tiles);
  const bool with_clipped = args.rule.activation == Activation::pact;
  float sum[Width] = {};
  float projection[Width] = {};
  float clipped[Width] = {};
  if (place.active) {
    const Normalization<Width> normalization(args, place.channel);
    const Clamp clamp(args.rule.activation, args.parameters.clip);
    const float dy_factor = dy_per_stored(args);
    for_rows<kRowsInFlight>(
        tiles, place,
        [&](std::int64_t row) { return RawTriple<T, Width>::load(args, row * tiles.channels + place.channel); },
        [&](std::int64_t, const RawTriple<T, Width>& raw) {
          const Gradients<T, Width> at(raw, normalization, dy_factor);
          for (int i = 0; i < Width; ++i) {
            const float d_z = clamp.passes(at.z[i]) ? at.d_y[i] : 0.0F;
            sum[i] += d_z;
            projection[i] = fmaf(d_z, at.centred[i], projection[i]);
            if (at.z[i] >= clamp.ceiling) clipped[i] += at.d_y[i];
          }
        });
  }
  const TileResult result(tiles);
  const auto keep = [&](Field field, float value) {
    if (result.active) partials.at(static_cast<int>(blockIdx.x), field, result.channel) = value;
  };
  keep(kSum, reduce_lanes<Width>(tiles, place, sum, shared, Sum()));
  keep(kProjection, reduce_lanes<Width>(tiles, place, projection, shared, Sum()));
  if (with_clipped) keep(kClipped, reduce_lanes<Width>(tiles, place, clipped, shared, Sum()));
  if (arrives_last(memory.counters + blockIdx.y, gridDim.x))
    finish_tile(tiles, args, partials, coefficients, shared_sums, memory);
}

// grid enough for all, block kTileThreads, one thread per channel
__global__ void finish_over_all_slices(NormActBackwardArgs args, Coefficients coefficients) {
  const int channel = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (channel < args.geometry.channels)
    coefficients.set(args, channel, coefficients.slope[channel], coefficients.offset[channel]);
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void __launch_bounds__(kTileThreads, kBlocksPerMultiprocessor)
    write_gradients(ChannelTiles tiles, NormActBackwardArgs args, Coefficients coefficients) {
  const TilePlace place(tiles);
  if (!place.active) return;
  auto* d_x = static_cast<T*>(args.d_x);
  auto* d_shortcut = static_cast<T*>(args.d_shortcut);
  const Normalization<Width> normalization(args, place.channel);
  const Clamp clamp(args.rule.activation, args.parameters.clip);
  const float dy_factor = dy_per_stored(args);
  float slope[Width];
  float offset[Width];
  load_floats(coefficients.slope + place.channel, slope);
  load_floats(coefficients.offset + place.channel, offset);
  for_rows<kRowsInFlight>(
      tiles, place,
      [&](std::int64_t row) { return RawTriple<T, Width>::load(args, row * tiles.channels + place.channel); },
      [&](std::int64_t row, const RawTriple<T, Width>& raw) {
        const std::int64_t index = row * tiles.channels + place.channel;
        const Gradients<T, Width> at(raw, normalization, dy_factor);
        float d_z[Width];
        float d_value[Width];
        for (int i = 0; i < Width; ++i) {
          d_z[i] = clamp.passes(at.z[i]) ? at.d_y[i] : 0.0F;
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
  launch(sum_gradients<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args, partials, coefficients,
         memory);
  if (args.slice != nullptr) {
    args.slice->average(coefficients.slope, 2 * static_cast<std::size_t>(channels));
    const auto blocks = static_cast<unsigned>((channels + kTileThreads - 1) / kTileThreads);
    launch(finish_over_all_slices, dim3(blocks), dim3(kTileThreads), 0, stream, args, coefficients);
  }
  launch(write_gradients<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args, coefficients);
}

}  // namespace

void norm_act_backward(const NormActBackwardArgs& args, const DeviceContext& on) {
  with_tiles(
      args.geometry.dtype, args.geometry.rows, args.geometry.channels, on.memory.multiprocessors,
      [&]<typename T, int Width>(const ChannelTiles& tiles) { run<T, Width>(args, tiles, on.memory, on.stream); });
}

}  // namespace bsq::cuda
