// norm_act backward: one pass for the sums, one that writes dx and d_shortcut; z is recomputed, never stored. If
// nothing is normalized, dx needs no sums, and one pass does all.
#include "kernels/batch_slice.h"
#include "kernels/cpu/simd/norm_act.h"
#include "kernels/cpu/simd/variant.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

/// Factors between what is stored and what it means.
struct Units {
  float x;
  float shortcut;
  float d_y;  // 1 / y_unit

  explicit Units(const NormActBackwardArgs& args)
      : x(value_of(args.x_unit)), shortcut(value_of(args.shortcut_unit)), d_y(1.0F) {
    if (args.y_unit != nullptr) d_y = *args.y_unit == 0 ? 0.0F : 1.0F / *args.y_unit;
  }
};

/// One row of a tile: the stored x, dy and z. It lies at two places: in x, and in dense tensors.
struct RowGradient {
  FloatLanes value;
  FloatLanes d_y;
  FloatLanes z;
};

template <typename T, bool Full>
BSQ_LANES_INLINE RowGradient load_row(const NormActBackwardArgs& args, const Units& units, std::int64_t x_index,
                                      std::int64_t index, int count, FloatLanes scale, FloatLanes shift) {
  RowGradient row;
  row.value = load_lanes<Full>(static_cast<const T*>(args.x) + x_index, count);
  row.d_y = units.d_y * load_lanes<Full>(static_cast<const T*>(args.d_y) + index, count);
  row.z = row.value * scale + shift;
  if (args.shortcut != nullptr)
    row.z += units.shortcut * load_lanes<Full>(static_cast<const T*>(args.shortcut) + index, count);
  return row;
}

/// A learned ceiling, and what of dy it gets.
template <Activation Act>
struct Ceiling {
  float clip = 0;
  float levels = 0;
  float levels_per_one = 0;

  explicit Ceiling(const NormActBackwardArgs& args) {
    if constexpr (learns_ceiling(Act)) clip = *args.parameters.clip;
    if constexpr (Act == Activation::lsq) {
      levels = static_cast<float>((1 << args.rule.act_bits) - 1);
      levels_per_one = levels / clip;
    }
  }
};

template <Activation Act>
BSQ_LANES_INLINE FloatLanes share_of(const Ceiling<Act>& ceiling, const RowGradient& at) {
  FloatLanes below{};
  if constexpr (Act == Activation::lsq) {
    const FloatLanes level = at.z * ceiling.levels_per_one;
    below = at.z > FloatLanes{} ? at.d_y * (round_half_even(level) - level) / ceiling.levels : below;
  }
  return at.z < broadcast(ceiling.clip) ? below : at.d_y;
}

/// Adds the sums of a tile, over dz, dz (x - mean) and clipped dy, to those of its chunk.
BSQ_LANES_INLINE void add_to_chunk(const NormActScratch& scratch, const Tile& tile, FloatLanes sum,
                                   FloatLanes projection, FloatLanes clipped) {
  double* field = scratch.partials + tile.chunk * kBackwardFields * scratch.width + tile.channel;
  for (int lane = 0; lane < kLanes; ++lane, ++field) {
    if (tile.first_of_chunk) field[0] = field[scratch.width] = field[2 * scratch.width] = 0;
    field[0] += static_cast<double>(sum[lane]);
    field[scratch.width] += static_cast<double>(projection[lane]);
    field[2 * scratch.width] += static_cast<double>(clipped[lane]);
  }
}

/// Sums of dz, dz (x - mean) and clipped dy over every chunk.
template <typename T, Activation Act>
void sum_gradients(const NormActBackwardArgs& args, const NormActScratch& scratch, const Units& units) {
  const int channels = args.geometry.channels;
  const std::int64_t pitch = pitch_of(args.geometry);
  const Ceiling<Act> ceiling(args);
  parallel_tiles(args.geometry, [&]<bool Full>(const Tile& tile) {
    const FloatLanes scale = load_lanes<Full>(scratch.scale + tile.channel, tile.count);
    const FloatLanes shift = load_lanes<Full>(scratch.shift + tile.channel, tile.count);
    const FloatLanes mean = load_lanes<Full>(args.saved.mean + tile.channel, tile.count);
    FloatLanes sum{};
    FloatLanes projection{};
    FloatLanes clipped{};
    for (std::int64_t row = tile.begin; row < tile.end; ++row) {
      const RowGradient at = load_row<T, Full>(args, units, row * pitch + tile.channel, row * channels + tile.channel,
                                               tile.count, scale, shift);
      const FloatLanes d_z = pass_gradient<Act>(at.d_y, at.z, ceiling.clip);
      sum += d_z;
      projection += d_z * (units.x * at.value - mean);
      if constexpr (learns_ceiling(Act)) clipped += share_of(ceiling, at);
    }
    add_to_chunk(scratch, tile, sum, projection, clipped);
  });
}

/// Makes the coefficients of d_x from the sums of dz and of dz (x - mean).
void set_coefficients(const NormActBackwardArgs& args, const NormActScratch& scratch, const Units& units, int channel,
                      double sum, double projection) {
  const auto rows = static_cast<double>(args.geometry.rows);
  const auto inv_std = static_cast<double>(args.saved.inv_std[channel]);
  const double scale = static_cast<double>(args.parameters.gamma[channel]) * inv_std * static_cast<double>(units.x);
  scratch.slope[channel] = static_cast<float>(-scale * inv_std * inv_std * projection / rows);
  scratch.offset[channel] = static_cast<float>(-scale * sum / rows);
}

/// Parameter gradients and the coefficients of d_x.
void finish_gradients(const NormActBackwardArgs& args, const NormActScratch& scratch, const Units& units) {
  double d_clip = 0;
  for (int channel = 0; channel < args.geometry.channels; ++channel) {
    const double* partial = scratch.partials + channel;
    double sum = 0;
    double projection = 0;
    for (std::int64_t chunk = 0; chunk < chunks_of(args.geometry.rows); ++chunk) {
      sum += partial[0];
      projection += partial[scratch.width];
      d_clip += partial[2 * scratch.width];
      partial += kBackwardFields * scratch.width;
    }
    if (args.gradients.d_beta != nullptr) args.gradients.d_beta[channel] = static_cast<float>(sum);
    if (!args.rule.normalize) continue;
    if (args.gradients.d_input_bias != nullptr) args.gradients.d_input_bias[channel] = 0;
    args.gradients.d_gamma[channel] = static_cast<float>(projection * static_cast<double>(args.saved.inv_std[channel]));
    if (args.slice == nullptr) {
      set_coefficients(args, scratch, units, channel, sum, projection);
    } else {
      scratch.slope[channel] = static_cast<float>(sum);
      scratch.offset[channel] = static_cast<float>(projection);
    }
  }
  if (args.rule.activation == Activation::lsq) d_clip *= static_cast<double>(args.rule.clip_gain);
  if (args.gradients.d_clip != nullptr) *args.gradients.d_clip = static_cast<float>(d_clip);
}

/// Turns the sums of the slice, which lie in the place of the coefficients, into those of the batch, and these into the
/// coefficients.
void finish_over_all_slices(const NormActBackwardArgs& args, const NormActScratch& scratch, const Units& units) {
  for (std::int64_t channel = args.geometry.channels; channel < scratch.width; ++channel)
    scratch.slope[channel] = scratch.offset[channel] = 0;
  args.slice->average(scratch.slope, static_cast<std::size_t>(2 * scratch.width));
  for (int channel = 0; channel < args.geometry.channels; ++channel)
    set_coefficients(args, scratch, units, channel, static_cast<double>(scratch.slope[channel]),
                     static_cast<double>(scratch.offset[channel]));
}

template <typename T, Activation Act>
void write_gradients(const NormActBackwardArgs& args, const NormActScratch& scratch, const Units& units) {
  T* d_x = static_cast<T*>(args.d_x);
  T* d_shortcut = static_cast<T*>(args.d_shortcut);
  const bool accumulate_x = args.x_mode == GradMode::accumulate;
  const bool accumulate_shortcut = args.shortcut_mode == GradMode::accumulate;
  const int channels = args.geometry.channels;
  const std::int64_t pitch = pitch_of(args.geometry);
  const float clip = learns_ceiling(Act) ? *args.parameters.clip : 0.0F;
  parallel_tiles(args.geometry, [&]<bool Full>(const Tile& tile) {
    const FloatLanes scale = load_lanes<Full>(scratch.scale + tile.channel, tile.count);
    const FloatLanes shift = load_lanes<Full>(scratch.shift + tile.channel, tile.count);
    const FloatLanes mean = load_lanes<Full>(args.saved.mean + tile.channel, tile.count);
    const FloatLanes slope = load_lanes<Full>(scratch.slope + tile.channel, tile.count);
    const FloatLanes offset = load_lanes<Full>(scratch.offset + tile.channel, tile.count);
    for (std::int64_t row = tile.begin; row < tile.end; ++row) {
      const std::int64_t x_index = row * pitch + tile.channel;
      const std::int64_t index = row * channels + tile.channel;
      const RowGradient at = load_row<T, Full>(args, units, x_index, index, tile.count, scale, shift);
      const FloatLanes d_z = pass_gradient<Act>(at.d_y, at.z, clip);
      FloatLanes d_value = d_z * scale + (units.x * at.value - mean) * slope + offset;
      if (accumulate_x) d_value += load_lanes<Full>(d_x + x_index, tile.count);
      store_lanes<Full>(d_x + x_index, d_value, tile.count);
      if (d_shortcut != nullptr) {
        const FloatLanes before = accumulate_shortcut ? load_lanes<Full>(d_shortcut + index, tile.count) : FloatLanes{};
        store_lanes<Full>(d_shortcut + index, before + units.shortcut * d_z, tile.count);
      }
    }
  });
}

/// Where nothing is normalized: d_x, d_shortcut, and sums of dz and clipped dy over every chunk. Without an activation
/// z is not needed, and neither x nor the shortcut is read.
template <typename T, Activation Act>
void write_biased_gradients(const NormActBackwardArgs& args, const NormActScratch& scratch, const Units& units) {
  T* d_x = static_cast<T*>(args.d_x);
  T* d_shortcut = static_cast<T*>(args.d_shortcut);
  const bool accumulate_x = args.x_mode == GradMode::accumulate;
  const bool accumulate_shortcut = args.shortcut_mode == GradMode::accumulate;
  const int channels = args.geometry.channels;
  const std::int64_t pitch = pitch_of(args.geometry);
  const Ceiling<Act> ceiling(args);
  parallel_tiles(args.geometry, [&]<bool Full>(const Tile& tile) {
    const FloatLanes scale = load_lanes<Full>(scratch.scale + tile.channel, tile.count);
    const FloatLanes shift = load_lanes<Full>(scratch.shift + tile.channel, tile.count);
    FloatLanes sum{};
    FloatLanes clipped{};
    for (std::int64_t row = tile.begin; row < tile.end; ++row) {
      const std::int64_t x_index = row * pitch + tile.channel;
      const std::int64_t index = row * channels + tile.channel;
      FloatLanes d_z;
      if constexpr (Act == Activation::none) {
        d_z = units.d_y * load_lanes<Full>(static_cast<const T*>(args.d_y) + index, tile.count);
      } else {
        const RowGradient at = load_row<T, Full>(args, units, x_index, index, tile.count, scale, shift);
        d_z = pass_gradient<Act>(at.d_y, at.z, ceiling.clip);
        if constexpr (learns_ceiling(Act)) clipped += share_of(ceiling, at);
      }
      sum += d_z;
      FloatLanes d_value = units.x * d_z;
      if (accumulate_x) d_value += load_lanes<Full>(d_x + x_index, tile.count);
      store_lanes<Full>(d_x + x_index, d_value, tile.count);
      if (d_shortcut != nullptr) {
        const FloatLanes before = accumulate_shortcut ? load_lanes<Full>(d_shortcut + index, tile.count) : FloatLanes{};
        store_lanes<Full>(d_shortcut + index, before + units.shortcut * d_z, tile.count);
      }
    }
    add_to_chunk(scratch, tile, sum, FloatLanes{}, clipped);
  });
}

template <typename T, Activation Act>
void backward(const NormActBackwardArgs& args) {
  const NormActScratch scratch = carve_scratch(args.scratch, args.geometry);
  const Units units(args);
  if (!args.rule.normalize) {
    fold_bias(args.geometry, args.parameters, units.x, scratch);
    write_biased_gradients<T, Act>(args, scratch, units);
    return finish_gradients(args, scratch, units);
  }
  for (int channel = 0; channel < args.geometry.channels; ++channel)
    fold_normalization(args.parameters, args.saved, channel, units.x, scratch);
  sum_gradients<T, Act>(args, scratch, units);
  finish_gradients(args, scratch, units);
  if (args.slice != nullptr) finish_over_all_slices(args, scratch, units);
  write_gradients<T, Act>(args, scratch, units);
}

}  // namespace

void norm_act_backward(const NormActBackwardArgs& args) {
  dispatch_norm_act(args.geometry.dtype, args.rule.activation,
                    [&]<typename T, Activation Act>() { backward<T, Act>(args); });
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
