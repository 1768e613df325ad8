// norm_act forward: batch norm, shortcut, activation and quantizer of a tensor [rows, C].
//
// Reads x for the statistics (and, without a shortcut, each channel's extremes, which give the activation's maximum),
// reads x and the shortcut once more to write y. With a shortcut and a quantizer the maximum takes a pass of its own.
// Least bytes, e = bytes of an element: 3 e rows C; + e rows C with a shortcut, + 2 e rows C more if quantized.
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/norm_act.cuh"

namespace bsq::cuda {
namespace {

enum Field { kSum, kSquares, kLow, kHigh, kFields };

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void sum_moments(ChannelTiles tiles, const T* x, bool with_extremes, PartialTable partials) {
  BSQ_SHARED(float, shared, [kTileThreads * Width]);
  const TilePlace place(tiles);
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

__device__ Statistics statistics_of(double pilot, double sum, double squares, double rows) {
  const double offset = sum / rows;
  double centred = squares - sum * offset;  // sum of (x - mean)^2
  if (centred < 0) centred = 0;
  return {pilot + offset, centred / rows, centred / (rows > 1 ? rows - 1 : 1)};
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

/// max|act(z)| of a channel without shortcut: z is monotonic in x, so it lies at an extreme of x.
__device__ float largest_of(const Normalization<1>& normalization, const Clamp& clamp, float low, float high) {
  const float at_low = fabsf(clamp.apply(normalization.z(low, 0.0F, 0)));
  const float at_high = fabsf(clamp.apply(normalization.z(high, 0.0F, 0)));
  return Largest()(at_low, at_high);
}

// grid 1, block (kFinishChannels, kFinishLanes), one column of threads per channel
template <typename T>
__global__ void finish_statistics(ChannelTiles tiles, NormActRule rule, const T* x, int row_blocks,
                                  PartialTable partials, NormParameters parameters, NormSaved saved,
                                  bool maximum_from_extremes) {
  BSQ_SHARED(double, shared_sums, [kFinishChannels * kFinishLanes]);
  BSQ_SHARED(float, shared_extremes, [kFinishChannels * kFinishLanes]);
  const Clamp clamp(rule.activation, parameters.clip);
  float largest = 0;
  for (int first = 0; first < tiles.channels; first += kFinishChannels) {
    const int channel = first + static_cast<int>(threadIdx.x);
    const bool leads = threadIdx.y == 0 && channel < tiles.channels;
    if (rule.batch_statistics) {
      const double sum = combine_row_blocks(partials, row_blocks, kSum, channel, 0.0, shared_sums, Sum());
      const double squares = combine_row_blocks(partials, row_blocks, kSquares, channel, 0.0, shared_sums, Sum());
      if (leads) {
        float pilot[1];
        load<1>(x + channel, pilot);
        const auto rows = static_cast<double>(tiles.rows);
        save_statistics(statistics_of(pilot[0], sum, squares, rows), rule, parameters, saved, channel);
      }
    } else if (leads) {
      saved.mean[channel] = parameters.running_mean[channel];
      const double variance = parameters.running_var[channel];
      saved.inv_std[channel] = static_cast<float>(1.0 / sqrt(variance + static_cast<double>(rule.epsilon)));
    }
    if (!maximum_from_extremes) continue;
    const float low = combine_row_blocks(partials, row_blocks, kLow, channel, INFINITY, shared_extremes, Smallest());
    const float high = combine_row_blocks(partials, row_blocks, kHigh, channel, -INFINITY, shared_extremes, Largest());
    if (leads) largest = Largest()(largest, largest_of({parameters, saved, channel}, clamp, low, high));
  }
  if (rule.act_bits == 0 || threadIdx.y != 0) return;
  largest = reduce_warp(largest, Largest());         // the threads of lane 0 are a warp
  if (threadIdx.x == 0) *saved.act_scale = largest;  // 0 where the maximum still has to be found
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void find_largest(ChannelTiles tiles, NormActRule rule, const T* x, const T* shortcut,
                             NormParameters parameters, NormSaved saved) {
  BSQ_SHARED(float, shared, [kTileThreads / kWarp]);
  const TilePlace place(tiles);
  float largest = 0;
  if (place.active) {
    const Normalization<Width> normalization(parameters, saved, place.channel);
    const Clamp clamp(rule.activation, parameters.clip);
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
  // Floats that are not negative are ordered as their bits are, a NaN above all: an integer maximum has no order to
  // keep.
  if (threadIdx.x == 0) atomicMax(reinterpret_cast<int*>(saved.act_scale), __float_as_int(largest));
}

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width>
__global__ void write_activations(ChannelTiles tiles, NormActRule rule, const T* x, const T* shortcut,
                                  NormParameters parameters, NormSaved saved, T* y) {
  const TilePlace place(tiles);
  if (!place.active) return;
  const Normalization<Width> normalization(parameters, saved, place.channel);
  const Clamp clamp(rule.activation, parameters.clip);
  const auto levels = static_cast<float>((1 << rule.act_bits) - 1);
  const float act_scale = rule.act_bits > 0 ? *saved.act_scale : 0.0F;
  const float levels_per_unit = act_scale == 0.0F ? 0.0F : levels / act_scale;
  for (std::int64_t row = place.first_row; row < tiles.rows; row += place.row_step) {
    const std::int64_t at = row * tiles.channels + place.channel;
    float value[Width];
    float addend[Width] = {};
    load<Width>(x + at, value);
    if (shortcut != nullptr) load<Width>(shortcut + at, addend);
    for (int i = 0; i < Width; ++i) {
      value[i] = clamp.apply(normalization.z(value[i], addend[i], i));
      if (rule.act_bits > 0) value[i] = rintf(value[i] * levels_per_unit) * act_scale / levels;
    }
    store<Width>(y + at, value);
  }
}

template <typename T, int Width>
void run(const NormActForwardArgs& args, cudaStream_t stream) {
  const ChannelTiles tiles(args.geometry.rows, args.geometry.channels, kVectorWidth<T>);
  const auto* x = static_cast<const T*>(args.x);
  const auto* shortcut = static_cast<const T*>(args.shortcut);
  const PartialTable partials{static_cast<float*>(args.scratch), kFields, args.geometry.channels};
  const bool maximum_from_extremes = args.rule.act_bits > 0 && shortcut == nullptr;
  if (args.rule.batch_statistics || maximum_from_extremes)
    launch(sum_moments<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, x, maximum_from_extremes,
           partials);
  launch(finish_statistics<T>, dim3(1), dim3(kFinishChannels, kFinishLanes), 0, stream, tiles, args.rule, x,
         tiles.row_blocks, partials, args.parameters, args.saved, maximum_from_extremes);
  if (args.rule.act_bits > 0 && shortcut != nullptr)
    launch(find_largest<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args.rule, x, shortcut,
           args.parameters, args.saved);
  launch(write_activations<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, args.rule, x, shortcut,
         args.parameters, args.saved, static_cast<T*>(args.y));
}

template <typename T>
void run_any_width(const NormActForwardArgs& args, cudaStream_t stream) {
  args.geometry.channels % kVectorWidth<T> == 0 ? run<T, kVectorWidth<T>>(args, stream) : run<T, 1>(args, stream);
}

}  // namespace

void norm_act_forward(const NormActForwardArgs& args, cudaStream_t stream) {
  args.geometry.dtype == DType::bf16 ? run_any_width<__nv_bfloat16>(args, stream) : run_any_width<float>(args, stream);
}

}  // namespace bsq::cuda
