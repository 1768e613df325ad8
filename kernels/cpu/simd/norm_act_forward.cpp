// norm_act forward: batch norm + shortcut + activation + quantizer, sixteen channels at a time.
//
// With batch statistics: one pass for the moments (and, if there is no shortcut, the extremes of every channel, from
// which max|y| follows because z is monotone in x), one pass that writes y. With a shortcut and a quantizer max|y|
// costs a further read. If nothing is normalized there is no pass for moments, and max|y| costs a read.
#include "kernels/batch_slice.h"
#include "kernels/cpu/simd/norm_act.h"
#include "kernels/cpu/simd/variant.h"

#include <cmath>

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

/// Moments and extremes of x - pivot; the pivot (the first row) keeps the variance free of cancellation.
template <typename T>
void sum_moments(const NormActForwardArgs& args, const NormActScratch& scratch) {
  const T* x = static_cast<const T*>(args.x);
  const std::int64_t pitch = pitch_of(args.geometry);
  parallel_tiles(args.geometry, [&]<bool Full>(const Tile& tile) {
    const FloatLanes pivot = load_lanes<Full>(x + tile.channel, tile.count);
    FloatLanes sum{};
    FloatLanes squares{};
    FloatLanes lowest = load_lanes<Full>(x + tile.begin * pitch + tile.channel, tile.count) - pivot;
    FloatLanes highest = lowest;
    for (std::int64_t row = tile.begin; row < tile.end; ++row) {
      const FloatLanes value = load_lanes<Full>(x + row * pitch + tile.channel, tile.count) - pivot;
      sum += value;
      squares += value * value;
      lowest = value < lowest ? value : lowest;
      highest = value > highest ? value : highest;
    }
    double* field = scratch.partials + tile.chunk * kForwardFields * scratch.width + tile.channel;
    for (int lane = 0; lane < kLanes; ++lane, ++field) {
      const auto low = static_cast<double>(lowest[lane]);
      const auto high = static_cast<double>(highest[lane]);
      double& chunk_low = field[2 * scratch.width];
      double& chunk_high = field[3 * scratch.width];
      if (tile.first_of_chunk) {
        field[0] = field[scratch.width] = 0;
        chunk_low = low;
        chunk_high = high;
      }
      field[0] += static_cast<double>(sum[lane]);
      field[scratch.width] += static_cast<double>(squares[lane]);
      chunk_low = low < chunk_low ? low : chunk_low;
      chunk_high = high > chunk_high ? high : chunk_high;
    }
  });
}

template <typename T>
BSQ_LANES_INLINE float to_float(const T* source) {
  return load_some(source, 1)[0];
}

BSQ_LANES_INLINE float activate_one(const NormActForwardArgs& args, float z) {
  if (args.rule.activation == Activation::none) return z < 0 ? -z : z;
  const float ceiling = args.rule.activation == Activation::relu6 ? 6.0F
                        : learns_ceiling(args.rule.activation)    ? *args.parameters.clip
                                                                  : z;
  const float y = z < 0 ? 0.0F : z;
  return y > ceiling ? ceiling : y;
}

struct ChannelStatistics {
  double mean;
  double variance;  // biased; never negative, but a NaN stays one
};

/// A channel's sums over all chunks.
template <typename T>
ChannelStatistics statistics_of(const NormActForwardArgs& args, const NormActScratch& scratch, int channel) {
  const double* partial = scratch.partials + channel;
  const auto rows = static_cast<double>(args.geometry.rows);
  const auto unit = static_cast<double>(value_of(args.x_unit));
  double sum = 0;
  double squares = 0;
  for (std::int64_t chunk = 0; chunk < chunks_of(args.geometry.rows); ++chunk) {
    sum += partial[0];
    squares += partial[scratch.width];
    partial += kForwardFields * scratch.width;
  }
  const auto pivot = static_cast<double>(to_float(static_cast<const T*>(args.x) + channel));
  const double variance = unit * unit * (squares / rows - (sum / rows) * (sum / rows));
  return {unit * (pivot + sum / rows), variance < 0 ? 0.0 : variance};
}

/// Of the convolution before it, which has left it to the norm.
BSQ_LANES_INLINE float input_bias(const NormParameters& parameters, int channel) {
  return parameters.input_bias == nullptr ? 0.0F : parameters.input_bias[channel];
}

/// Saves them and moves the running statistics; `rows`: those that the statistics are of.
void use_batch_statistics(const NormActForwardArgs& args, const NormActScratch& scratch, int channel,
                          const ChannelStatistics& found, double rows) {
  args.saved.mean[channel] = static_cast<float>(found.mean);
  args.saved.inv_std[channel] =
      static_cast<float>(1.0 / std::sqrt(found.variance + static_cast<double>(args.rule.epsilon)));
  const double unbiased = rows > 1 ? found.variance * rows / (rows - 1) : found.variance;
  float& running_mean = args.parameters.running_mean[channel];
  float& running_var = args.parameters.running_var[channel];
  const double momentum = static_cast<double>(args.rule.momentum);
  const double mean = found.mean + static_cast<double>(input_bias(args.parameters, channel));
  running_mean = static_cast<float>((1 - momentum) * static_cast<double>(running_mean) + momentum * mean);
  running_var = static_cast<float>((1 - momentum) * static_cast<double>(running_var) + momentum * unbiased);
  fold_normalization(args.parameters, args.saved, channel, value_of(args.x_unit), scratch);
}

/// The running mean of x, without the bias that the norm adds to it.
BSQ_LANES_INLINE double running_mean_of_x(const NormParameters& parameters, int channel) {
  return static_cast<double>(parameters.running_mean[channel]) - static_cast<double>(input_bias(parameters, channel));
}

/// From the slices' first and second moments about the running mean, which is the same on every rank (METHOD 10).
template <typename T>
void use_statistics_of_all_slices(const NormActForwardArgs& args, const NormActScratch& scratch) {
  float* first = scratch.slope;
  float* second = scratch.offset;
  for (std::int64_t i = 0; i < 2 * scratch.width; ++i) first[i] = 0;
  for (int channel = 0; channel < args.geometry.channels; ++channel) {
    const ChannelStatistics own = statistics_of<T>(args, scratch, channel);
    const double offset = own.mean - running_mean_of_x(args.parameters, channel);
    first[channel] = static_cast<float>(offset);
    second[channel] = static_cast<float>(own.variance + offset * offset);
  }
  args.slice->average(first, static_cast<std::size_t>(2 * scratch.width));
  const auto rows = static_cast<double>(args.slice->rows_of_batch(args.geometry.rows));
  for (int channel = 0; channel < args.geometry.channels; ++channel) {
    const auto offset = static_cast<double>(first[channel]);
    const double variance = static_cast<double>(second[channel]) - offset * offset;
    const double mean = running_mean_of_x(args.parameters, channel) + offset;
    use_batch_statistics(args, scratch, channel, {mean, variance < 0 ? 0.0 : variance}, rows);
  }
}

/// max|y| of a tensor without shortcut: z is monotone in x, so it lies at an extreme of a channel.
template <typename T>
float largest_at_extremes(const NormActForwardArgs& args, const NormActScratch& scratch) {
  const std::int64_t width = scratch.width;
  float largest = 0;
  for (int channel = 0; channel < args.geometry.channels; ++channel) {
    const double* partial = scratch.partials + channel;
    double lowest = partial[2 * width];
    double highest = partial[3 * width];
    for (std::int64_t chunk = 0; chunk < chunks_of(args.geometry.rows); ++chunk, partial += kForwardFields * width) {
      lowest = partial[2 * width] < lowest ? partial[2 * width] : lowest;
      highest = partial[3 * width] > highest ? partial[3 * width] : highest;
    }
    const auto pivot = static_cast<double>(to_float(static_cast<const T*>(args.x) + channel));
    const double extremes[] = {lowest, highest};
    for (const double extreme : extremes) {
      const float x = static_cast<float>(extreme + pivot);
      const float y = activate_one(args, x * scratch.scale[channel] + scratch.shift[channel]);
      largest = y > largest ? y : largest;
    }
  }
  return largest;
}

void use_running_statistics(const NormActForwardArgs& args, const NormActScratch& scratch) {
  for (int channel = 0; channel < args.geometry.channels; ++channel) {
    const double variance = static_cast<double>(args.parameters.running_var[channel]);
    args.saved.mean[channel] = static_cast<float>(running_mean_of_x(args.parameters, channel));
    args.saved.inv_std[channel] =
        static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(args.rule.epsilon)));
    fold_normalization(args.parameters, args.saved, channel, value_of(args.x_unit), scratch);
  }
}

/// The grid of a range (NormActRanges).
struct RangeGrid {
  bool rounds = false;
  float per_unit = 1;
  float unit = 1;
  float lowest = 0;  // level
  float highest = 0;
};

BSQ_LANES_INLINE RangeGrid grid_of(const float* range) {
  constexpr double top = 255;
  constexpr float least_unit = 1e-37F;
  RangeGrid grid;
  if (range == nullptr) return grid;
  const double low = range[0] < 0 ? static_cast<double>(range[0]) : 0.0;
  const double high = range[1] > 0 ? static_cast<double>(range[1]) : 0.0;
  const auto unit = static_cast<float>((high - low) / top);
  grid.rounds = true;
  grid.highest = static_cast<float>(top);
  if (!(unit >= least_unit)) return grid;
  grid.unit = unit;
  grid.per_unit = 1.0F / unit;
  grid.lowest = -static_cast<float>(__builtin_nearbyint(-low / static_cast<double>(unit)));
  grid.highest += grid.lowest;
  return grid;
}

/// All grids of a call.
struct RangeGrids {
  RangeGrid term;
  RangeGrid shortcut;
  RangeGrid y;
};

BSQ_LANES_INLINE RangeGrids grids_of(const NormActRanges& ranges) {
  return {grid_of(ranges.term), grid_of(ranges.shortcut), grid_of(ranges.y)};
}

BSQ_LANES_INLINE FloatLanes rounded_to(const RangeGrid& grid, FloatLanes value) {
  if (!grid.rounds) return value;
  const FloatLanes level = at_most(at_least(value * grid.per_unit, broadcast(grid.lowest)), broadcast(grid.highest));
  return round_half_even(level) * grid.unit;
}

/// act(z) of one row of a tile, which lies at two places: in x, and in dense tensors. Rounds: with `grids`; the loops
/// of ordinary training are compiled apart.
template <typename T, Activation Act, bool Rounds, bool Full>
BSQ_LANES_INLINE FloatLanes activation_at(const NormActForwardArgs& args, const RangeGrids& grids, std::int64_t x_index,
                                          std::int64_t index, int count, FloatLanes scale, FloatLanes shift,
                                          float shortcut_unit, float clip) {
  FloatLanes z = load_lanes<Full>(static_cast<const T*>(args.x) + x_index, count) * scale + shift;
  if constexpr (Rounds) {
    z = rounded_to(grids.term, z);
    if (args.shortcut != nullptr)
      z += rounded_to(grids.shortcut,
                      shortcut_unit * load_lanes<Full>(static_cast<const T*>(args.shortcut) + index, count));
    return rounded_to(grids.y, activate<Act>(z, clip));
  }
  if (args.shortcut != nullptr)
    z += shortcut_unit * load_lanes<Full>(static_cast<const T*>(args.shortcut) + index, count);
  return activate<Act>(z, clip);
}

/// max|y| by computing every y.
template <typename T, Activation Act, bool Rounds>
float largest_activation(const NormActForwardArgs& args, const NormActScratch& scratch) {
  const int channels = args.geometry.channels;
  const std::int64_t pitch = pitch_of(args.geometry);
  const float shortcut_unit = value_of(args.shortcut_unit);
  const float clip = learns_ceiling(Act) ? *args.parameters.clip : 0.0F;
  const RangeGrids grids = Rounds ? grids_of(args.ranges) : RangeGrids{};
  parallel_tiles(args.geometry, [&]<bool Full>(const Tile& tile) {
    const FloatLanes scale = load_lanes<Full>(scratch.scale + tile.channel, tile.count);
    const FloatLanes shift = load_lanes<Full>(scratch.shift + tile.channel, tile.count);
    FloatLanes largest{};
    for (std::int64_t row = tile.begin; row < tile.end; ++row) {
      const std::int64_t x_index = row * pitch + tile.channel;
      const std::int64_t index = row * channels + tile.channel;
      const FloatLanes y = magnitude(activation_at<T, Act, Rounds, Full>(args, grids, x_index, index, tile.count, scale,
                                                                         shift, shortcut_unit, clip));
      largest = y > largest ? y : largest;
    }
    float& chunk_max = scratch.chunk_max[tile.chunk];
    if (tile.first_of_chunk && tile.channel == 0) chunk_max = 0;
    const float tile_max = max_of(largest);
    chunk_max = tile_max > chunk_max ? tile_max : chunk_max;
  });
  float largest = 0;
  for (std::int64_t chunk = 0; chunk < chunks_of(args.geometry.rows); ++chunk)
    largest = scratch.chunk_max[chunk] > largest ? scratch.chunk_max[chunk] : largest;
  return largest;
}

template <typename T, Activation Act, bool Rounds, bool Quantize>
void write_activations(const NormActForwardArgs& args, const NormActScratch& scratch, float act_scale) {
  T* y = static_cast<T*>(args.y);
  const int channels = args.geometry.channels;
  const std::int64_t pitch = pitch_of(args.geometry);
  const float shortcut_unit = value_of(args.shortcut_unit);
  const float clip = learns_ceiling(Act) ? *args.parameters.clip : 0.0F;
  const RangeGrids grids = Rounds ? grids_of(args.ranges) : RangeGrids{};
  const auto levels = static_cast<float>((1 << args.rule.act_bits) - 1);
  const bool representable = act_scale > 0 && levels / act_scale < 1e38F;  // else every level is 0
  const float to_level = representable ? levels / act_scale : 0.0F;
  const float from_level = representable ? act_scale / levels : 0.0F;
  if (args.y_unit != nullptr) *args.y_unit = from_level;
  const float stored_level = args.y_unit != nullptr ? 1.0F : from_level;
  const FloatLanes limit = broadcast(act_scale);
  parallel_tiles(args.geometry, [&]<bool Full>(const Tile& tile) {
    const FloatLanes scale = load_lanes<Full>(scratch.scale + tile.channel, tile.count);
    const FloatLanes shift = load_lanes<Full>(scratch.shift + tile.channel, tile.count);
    for (std::int64_t row = tile.begin; row < tile.end; ++row) {
      const std::int64_t x_index = row * pitch + tile.channel;
      const std::int64_t index = row * channels + tile.channel;
      FloatLanes result = activation_at<T, Act, Rounds, Full>(args, grids, x_index, index, tile.count, scale, shift,
                                                              shortcut_unit, clip);
      if constexpr (Quantize)
        result = round_half_even(at_least(at_most(result, limit), -limit) * to_level) * stored_level;
      store_lanes<Full>(y + index, result, tile.count);
    }
  });
}

/// The statistics, and with them what x becomes z by.
template <typename T>
void normalize(const NormActForwardArgs& args, const NormActScratch& scratch) {
  if (!args.rule.batch_statistics) return use_running_statistics(args, scratch);
  sum_moments<T>(args, scratch);
  if (args.slice != nullptr) return use_statistics_of_all_slices<T>(args, scratch);
  for (int channel = 0; channel < args.geometry.channels; ++channel)
    use_batch_statistics(args, scratch, channel, statistics_of<T>(args, scratch, channel),
                         static_cast<double>(args.geometry.rows));
}

template <typename T, Activation Act, bool Rounds>
void forward(const NormActForwardArgs& args) {
  const NormActScratch scratch = carve_scratch(args.scratch, args.geometry);
  if (args.rule.normalize)
    normalize<T>(args, scratch);
  else
    fold_bias(args.geometry, args.parameters, value_of(args.x_unit), scratch);
  if (args.rule.act_bits == 0) return write_activations<T, Act, Rounds, false>(args, scratch, 0.0F);

  float& act_scale = *args.saved.act_scale;
  const bool has_extremes = args.rule.normalize && args.rule.batch_statistics && args.shortcut == nullptr;
  if (args.act_scale != nullptr)
    act_scale = *args.act_scale;
  else if (has_extremes)
    act_scale = largest_at_extremes<T>(args, scratch);
  else
    act_scale = largest_activation<T, Act, Rounds>(args, scratch);
  if (args.rule.batch_statistics && args.slice != nullptr && args.act_scale == nullptr)
    args.slice->maximum(&act_scale, 1);
  write_activations<T, Act, Rounds, true>(args, scratch, act_scale);
}

}  // namespace

std::size_t norm_act_scratch_bytes(const NormActGeometry& geometry) {
  const auto chunks = static_cast<std::size_t>(chunks_of(geometry.rows));
  const auto width = static_cast<std::size_t>(padded(geometry.channels));
  return chunks * kForwardFields * width * sizeof(double) + (4 * width + chunks) * sizeof(float);
}

void norm_act_forward(const NormActForwardArgs& args) {
  dispatch_norm_act(args.geometry.dtype, args.rule.activation, [&]<typename T, Activation Act>() {
    args.ranges.any() ? forward<T, Act, true>(args) : forward<T, Act, false>(args);
  });
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
