// Batch norm + shortcut + activation + quantizer over rows x channels, sixteen channels at a time.
//
// Forward with batch statistics: one pass for the moments (and, where there is no shortcut, the extremes of every
// channel, from which max|y| follows because z is monotone in x), one pass that writes y. With a shortcut and a
// quantizer max|y| costs a further read. Backward: one pass for the sums, one that writes dx and d_shortcut; z is
// recomputed, never stored.
#include "kernels/cpu/simd/lanes.h"
#include "kernels/cpu/simd/variant.h"

#include <cmath>

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

constexpr std::int64_t kTileRows = 64;    // float accumulators are emptied into double ones this often; fits L1
constexpr std::int64_t kChunkRows = 512;  // one unit of parallel work
constexpr int kForwardFields = 4;         // sum, sum of squares, min, max of x - pivot
constexpr int kBackwardFields = 3;        // sum dz, sum dz (x - mean), sum of dy where clipped

BSQ_LANES_INLINE std::int64_t chunks_of(std::int64_t rows) {
  return (rows + kChunkRows - 1) / kChunkRows;
}
BSQ_LANES_INLINE std::int64_t padded(int channels) {
  return (channels + kLanes - 1) / kLanes * kLanes;
}
BSQ_LANES_INLINE std::int64_t least(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

/// scratch: doubles [chunks][fields][padded channels], then floats: four coefficient rows, one maximum a chunk.
struct Scratch {
  double* partials;
  float* scale;  // z = x * scale + shift
  float* shift;
  float* slope;  // dx = dz * scale + x * slope + offset
  float* offset;
  float* chunk_max;
  std::int64_t width;

  static Scratch carve(void* memory, const NormActGeometry& geometry) {
    Scratch scratch;
    scratch.width = padded(geometry.channels);
    const std::int64_t chunks = chunks_of(geometry.rows);
    scratch.partials = static_cast<double*>(memory);
    scratch.scale = reinterpret_cast<float*>(scratch.partials + chunks * kForwardFields * scratch.width);
    scratch.shift = scratch.scale + scratch.width;
    scratch.slope = scratch.shift + scratch.width;
    scratch.offset = scratch.slope + scratch.width;
    scratch.chunk_max = scratch.offset + scratch.width;
    return scratch;
  }
};

/// Calls body(first channel, lanes in use, whether all are) for every group of sixteen channels.
template <typename Body>
BSQ_LANES_INLINE void for_channel_groups(int channels, Body body) {
  int channel = 0;
  for (; channel + kLanes <= channels; channel += kLanes) body.template operator()<true>(channel, kLanes);
  if (channel < channels) body.template operator()<false>(channel, channels - channel);
}

template <Activation Act>
BSQ_LANES_INLINE FloatLanes activate(FloatLanes z, float clip) {
  if constexpr (Act == Activation::none) return z;
  z = at_least(z, FloatLanes{});
  if constexpr (Act == Activation::relu6) return at_most(z, broadcast(6.0F));
  if constexpr (Act == Activation::pact) return at_most(z, broadcast(clip));
  return z;
}

/// dy where the activation lets a gradient through, else 0.
template <Activation Act>
BSQ_LANES_INLINE FloatLanes pass_gradient(FloatLanes d_y, FloatLanes z, float clip) {
  if constexpr (Act == Activation::none) return d_y;
  FloatLanes d_z = z > FloatLanes{} ? d_y : FloatLanes{};
  if constexpr (Act == Activation::relu6) d_z = z < broadcast(6.0F) ? d_z : FloatLanes{};
  if constexpr (Act == Activation::pact) d_z = z < broadcast(clip) ? d_z : FloatLanes{};
  return d_z;
}

/// Moments and extremes of x - pivot; the pivot (the first row) keeps the variance free of cancellation.
template <typename T>
void sum_moments(const NormActForwardArgs& args, const Scratch& scratch) {
  const T* x = static_cast<const T*>(args.x);
  const std::int64_t rows = args.geometry.rows;
  const int channels = args.geometry.channels;
#pragma omp parallel for schedule(static)
  for (std::int64_t chunk = 0; chunk < chunks_of(rows); ++chunk) {
    double* partial = scratch.partials + chunk * kForwardFields * scratch.width;
    const std::int64_t end = least(rows, (chunk + 1) * kChunkRows);
    for (std::int64_t tile = chunk * kChunkRows; tile < end; tile += kTileRows) {
      const bool first_tile = tile == chunk * kChunkRows;
      const std::int64_t tile_end = least(end, tile + kTileRows);
      for_channel_groups(channels, [&]<bool Full>(int channel, int count) {
        const FloatLanes pivot = load_lanes<Full>(x + channel, count);
        FloatLanes sum{};
        FloatLanes squares{};
        FloatLanes lowest = load_lanes<Full>(x + tile * channels + channel, count) - pivot;
        FloatLanes highest = lowest;
        for (std::int64_t row = tile; row < tile_end; ++row) {
          const FloatLanes value = load_lanes<Full>(x + row * channels + channel, count) - pivot;
          sum += value;
          squares += value * value;
          lowest = value < lowest ? value : lowest;
          highest = value > highest ? value : highest;
        }
        double* target = partial + channel;
        for (int lane = 0; lane < kLanes; ++lane) {
          double* field = target + lane;
          const auto low = static_cast<double>(lowest[lane]);
          const auto high = static_cast<double>(highest[lane]);
          field[0] = static_cast<double>(sum[lane]) + (first_tile ? 0.0 : field[0]);
          field[scratch.width] = static_cast<double>(squares[lane]) + (first_tile ? 0.0 : field[scratch.width]);
          double& field_low = field[2 * scratch.width];
          double& field_high = field[3 * scratch.width];
          field_low = first_tile || low < field_low ? low : field_low;
          field_high = first_tile || high > field_high ? high : field_high;
        }
      });
    }
  }
}

template <typename T>
BSQ_LANES_INLINE float to_float(const T* source) {
  return load_some(source, 1)[0];
}

BSQ_LANES_INLINE float activate_one(const NormActForwardArgs& args, float z) {
  if (args.rule.activation == Activation::none) return z < 0 ? -z : z;
  const float ceiling = args.rule.activation == Activation::relu6  ? 6.0F
                        : args.rule.activation == Activation::pact ? *args.parameters.clip
                                                                   : z;
  const float y = z < 0 ? 0.0F : z;
  return y > ceiling ? ceiling : y;
}

/// Statistics, running statistics and the coefficients of z; returns max|y| over the channels' extremes.
template <typename T>
float finish_statistics(const NormActForwardArgs& args, const Scratch& scratch) {
  const T* x = static_cast<const T*>(args.x);
  const auto rows = static_cast<double>(args.geometry.rows);
  const std::int64_t width = scratch.width;
  float largest = 0;
  for (int channel = 0; channel < args.geometry.channels; ++channel) {
    const double* partial = scratch.partials + channel;
    double sum = 0;
    double squares = 0;
    double lowest = partial[2 * width];
    double highest = partial[3 * width];
    for (std::int64_t chunk = 0; chunk < chunks_of(args.geometry.rows); ++chunk, partial += kForwardFields * width) {
      sum += partial[0];
      squares += partial[width];
      lowest = partial[2 * width] < lowest ? partial[2 * width] : lowest;
      highest = partial[3 * width] > highest ? partial[3 * width] : highest;
    }
    const auto pivot = static_cast<double>(to_float(x + channel));
    const double mean = pivot + sum / rows;
    const double raw_variance = squares / rows - (sum / rows) * (sum / rows);
    const double variance = raw_variance < 0 ? 0.0 : raw_variance;  // NaN stays NaN
    const double inv_std = 1.0 / std::sqrt(variance + static_cast<double>(args.rule.epsilon));
    args.saved.mean[channel] = static_cast<float>(mean);
    args.saved.inv_std[channel] = static_cast<float>(inv_std);
    const double unbiased = rows > 1 ? variance * rows / (rows - 1) : variance;
    float& running_mean = args.parameters.running_mean[channel];
    float& running_var = args.parameters.running_var[channel];
    const double momentum = static_cast<double>(args.rule.momentum);
    running_mean = static_cast<float>((1 - momentum) * static_cast<double>(running_mean) + momentum * mean);
    running_var = static_cast<float>((1 - momentum) * static_cast<double>(running_var) + momentum * unbiased);
    const float scale = args.parameters.gamma[channel] * args.saved.inv_std[channel];
    const float shift = args.parameters.beta[channel] - args.saved.mean[channel] * scale;
    scratch.scale[channel] = scale;
    scratch.shift[channel] = shift;
    const float at_low = activate_one(args, static_cast<float>(lowest + pivot) * scale + shift);
    const float at_high = activate_one(args, static_cast<float>(highest + pivot) * scale + shift);
    largest = at_low > largest ? at_low : largest;
    largest = at_high > largest ? at_high : largest;
  }
  return largest;
}

void use_running_statistics(const NormActForwardArgs& args, const Scratch& scratch) {
  for (int channel = 0; channel < args.geometry.channels; ++channel) {
    const double variance = static_cast<double>(args.parameters.running_var[channel]);
    args.saved.mean[channel] = args.parameters.running_mean[channel];
    args.saved.inv_std[channel] =
        static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(args.rule.epsilon)));
    const float scale = args.parameters.gamma[channel] * args.saved.inv_std[channel];
    scratch.scale[channel] = scale;
    scratch.shift[channel] = args.parameters.beta[channel] - args.saved.mean[channel] * scale;
  }
}

/// max|y| by computing every y.
template <typename T, Activation Act>
float largest_activation(const NormActForwardArgs& args, const Scratch& scratch) {
  const T* x = static_cast<const T*>(args.x);
  const T* shortcut = static_cast<const T*>(args.shortcut);
  const std::int64_t rows = args.geometry.rows;
  const int channels = args.geometry.channels;
  const float clip = Act == Activation::pact ? *args.parameters.clip : 0.0F;
#pragma omp parallel for schedule(static)
  for (std::int64_t chunk = 0; chunk < chunks_of(rows); ++chunk) {
    const std::int64_t end = least(rows, (chunk + 1) * kChunkRows);
    FloatLanes largest{};
    for (std::int64_t tile = chunk * kChunkRows; tile < end; tile += kTileRows) {
      const std::int64_t tile_end = least(end, tile + kTileRows);
      for_channel_groups(channels, [&]<bool Full>(int channel, int count) {
        const FloatLanes scale = load_lanes<Full>(scratch.scale + channel, count);
        const FloatLanes shift = load_lanes<Full>(scratch.shift + channel, count);
        for (std::int64_t row = tile; row < tile_end; ++row) {
          const std::int64_t index = row * channels + channel;
          FloatLanes z = load_lanes<Full>(x + index, count) * scale + shift;
          if (shortcut != nullptr) z += load_lanes<Full>(shortcut + index, count);
          const FloatLanes y = magnitude(activate<Act>(z, clip));
          largest = y > largest ? y : largest;
        }
      });
    }
    scratch.chunk_max[chunk] = max_of(largest);
  }
  float largest = 0;
  for (std::int64_t chunk = 0; chunk < chunks_of(rows); ++chunk)
    largest = scratch.chunk_max[chunk] > largest ? scratch.chunk_max[chunk] : largest;
  return largest;
}

template <typename T, Activation Act, bool Quantize>
void write_activations(const NormActForwardArgs& args, const Scratch& scratch, float act_scale) {
  const T* x = static_cast<const T*>(args.x);
  const T* shortcut = static_cast<const T*>(args.shortcut);
  T* y = static_cast<T*>(args.y);
  const std::int64_t rows = args.geometry.rows;
  const int channels = args.geometry.channels;
  const float clip = Act == Activation::pact ? *args.parameters.clip : 0.0F;
  const auto levels = static_cast<float>((1 << args.rule.act_bits) - 1);
  const bool representable = act_scale > 0 && levels / act_scale < 1e38F;  // else every level is 0
  const float to_level = representable ? levels / act_scale : 0.0F;
  const float from_level = representable ? act_scale / levels : 0.0F;
#pragma omp parallel for schedule(static)
  for (std::int64_t chunk = 0; chunk < chunks_of(rows); ++chunk) {
    const std::int64_t end = least(rows, (chunk + 1) * kChunkRows);
    for (std::int64_t tile = chunk * kChunkRows; tile < end; tile += kTileRows) {
      const std::int64_t tile_end = least(end, tile + kTileRows);
      for_channel_groups(channels, [&]<bool Full>(int channel, int count) {
        const FloatLanes scale = load_lanes<Full>(scratch.scale + channel, count);
        const FloatLanes shift = load_lanes<Full>(scratch.shift + channel, count);
        for (std::int64_t row = tile; row < tile_end; ++row) {
          const std::int64_t index = row * channels + channel;
          FloatLanes z = load_lanes<Full>(x + index, count) * scale + shift;
          if (shortcut != nullptr) z += load_lanes<Full>(shortcut + index, count);
          FloatLanes result = activate<Act>(z, clip);
          if constexpr (Quantize) result = round_half_even(result * to_level) * from_level;
          store_lanes<Full>(y + index, result, count);
        }
      });
    }
  }
}

template <typename T, Activation Act>
void forward(const NormActForwardArgs& args) {
  const Scratch scratch = Scratch::carve(args.scratch, args.geometry);
  const bool quantize = args.rule.act_bits > 0;
  float largest = 0;
  if (args.rule.batch_statistics) {
    sum_moments<T>(args, scratch);
    largest = finish_statistics<T>(args, scratch);
  } else {
    use_running_statistics(args, scratch);
  }
  if (!quantize) return write_activations<T, Act, false>(args, scratch, 0.0F);
  const bool extremes_suffice = args.rule.batch_statistics && args.shortcut == nullptr;
  *args.saved.act_scale = extremes_suffice ? largest : largest_activation<T, Act>(args, scratch);
  write_activations<T, Act, true>(args, scratch, *args.saved.act_scale);
}

/// Sums of dz, dz (x - mean) and clipped dy over every chunk.
template <typename T, Activation Act>
void sum_gradients(const NormActBackwardArgs& args, const Scratch& scratch) {
  const T* x = static_cast<const T*>(args.x);
  const T* d_y = static_cast<const T*>(args.d_y);
  const T* shortcut = static_cast<const T*>(args.shortcut);
  const std::int64_t rows = args.geometry.rows;
  const int channels = args.geometry.channels;
  const float clip = Act == Activation::pact ? *args.parameters.clip : 0.0F;
#pragma omp parallel for schedule(static)
  for (std::int64_t chunk = 0; chunk < chunks_of(rows); ++chunk) {
    double* partial = scratch.partials + chunk * kBackwardFields * scratch.width;
    const std::int64_t end = least(rows, (chunk + 1) * kChunkRows);
    for (std::int64_t tile = chunk * kChunkRows; tile < end; tile += kTileRows) {
      const bool first_tile = tile == chunk * kChunkRows;
      const std::int64_t tile_end = least(end, tile + kTileRows);
      for_channel_groups(channels, [&]<bool Full>(int channel, int count) {
        const FloatLanes scale = load_lanes<Full>(scratch.scale + channel, count);
        const FloatLanes shift = load_lanes<Full>(scratch.shift + channel, count);
        const FloatLanes mean = load_lanes<Full>(args.saved.mean + channel, count);
        FloatLanes sum{};
        FloatLanes projection{};
        FloatLanes clipped{};
        for (std::int64_t row = tile; row < tile_end; ++row) {
          const std::int64_t index = row * channels + channel;
          const FloatLanes value = load_lanes<Full>(x + index, count);
          const FloatLanes gradient = load_lanes<Full>(d_y + index, count);
          FloatLanes z = value * scale + shift;
          if (shortcut != nullptr) z += load_lanes<Full>(shortcut + index, count);
          const FloatLanes d_z = pass_gradient<Act>(gradient, z, clip);
          sum += d_z;
          projection += d_z * (value - mean);
          if constexpr (Act == Activation::pact) clipped += z < broadcast(clip) ? FloatLanes{} : gradient;
        }
        for (int lane = 0; lane < kLanes; ++lane) {
          double* field = partial + channel + lane;
          if (first_tile) field[0] = field[scratch.width] = field[2 * scratch.width] = 0;
          field[0] += static_cast<double>(sum[lane]);
          field[scratch.width] += static_cast<double>(projection[lane]);
          field[2 * scratch.width] += static_cast<double>(clipped[lane]);
        }
      });
    }
  }
}

/// Parameter gradients and the coefficients of dx.
void finish_gradients(const NormActBackwardArgs& args, const Scratch& scratch) {
  const auto rows = static_cast<double>(args.geometry.rows);
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
    const auto inv_std = static_cast<double>(args.saved.inv_std[channel]);
    const auto scale = static_cast<double>(args.parameters.gamma[channel]) * inv_std;
    args.gradients.d_beta[channel] = static_cast<float>(sum);
    args.gradients.d_gamma[channel] = static_cast<float>(projection * inv_std);
    const double slope = -scale * inv_std * inv_std * projection / rows;
    scratch.slope[channel] = static_cast<float>(slope);
    scratch.offset[channel] = static_cast<float>(-scale * sum / rows);
  }
  if (args.gradients.d_clip != nullptr) *args.gradients.d_clip = static_cast<float>(d_clip);
}

template <typename T, Activation Act>
void write_gradients(const NormActBackwardArgs& args, const Scratch& scratch) {
  const T* x = static_cast<const T*>(args.x);
  const T* d_y = static_cast<const T*>(args.d_y);
  const T* shortcut = static_cast<const T*>(args.shortcut);
  T* d_x = static_cast<T*>(args.d_x);
  T* d_shortcut = static_cast<T*>(args.d_shortcut);
  const bool accumulate_shortcut = args.shortcut_mode == GradMode::accumulate;
  const std::int64_t rows = args.geometry.rows;
  const int channels = args.geometry.channels;
  const float clip = Act == Activation::pact ? *args.parameters.clip : 0.0F;
#pragma omp parallel for schedule(static)
  for (std::int64_t chunk = 0; chunk < chunks_of(rows); ++chunk) {
    const std::int64_t end = least(rows, (chunk + 1) * kChunkRows);
    for (std::int64_t tile = chunk * kChunkRows; tile < end; tile += kTileRows) {
      const std::int64_t tile_end = least(end, tile + kTileRows);
      for_channel_groups(channels, [&]<bool Full>(int channel, int count) {
        const FloatLanes scale = load_lanes<Full>(scratch.scale + channel, count);
        const FloatLanes shift = load_lanes<Full>(scratch.shift + channel, count);
        const FloatLanes mean = load_lanes<Full>(args.saved.mean + channel, count);
        const FloatLanes slope = load_lanes<Full>(scratch.slope + channel, count);
        const FloatLanes offset = load_lanes<Full>(scratch.offset + channel, count);
        for (std::int64_t row = tile; row < tile_end; ++row) {
          const std::int64_t index = row * channels + channel;
          const FloatLanes value = load_lanes<Full>(x + index, count);
          FloatLanes z = value * scale + shift;
          if (shortcut != nullptr) z += load_lanes<Full>(shortcut + index, count);
          const FloatLanes d_z = pass_gradient<Act>(load_lanes<Full>(d_y + index, count), z, clip);
          if (d_shortcut != nullptr) {
            const FloatLanes before = accumulate_shortcut ? load_lanes<Full>(d_shortcut + index, count) : FloatLanes{};
            store_lanes<Full>(d_shortcut + index, before + d_z, count);
          }
          store_lanes<Full>(d_x + index, d_z * scale + (value - mean) * slope + offset, count);
        }
      });
    }
  }
}

template <typename T, Activation Act>
void backward(const NormActBackwardArgs& args) {
  const Scratch scratch = Scratch::carve(args.scratch, args.geometry);
  for (int channel = 0; channel < args.geometry.channels; ++channel) {
    const float scale = args.parameters.gamma[channel] * args.saved.inv_std[channel];
    scratch.scale[channel] = scale;
    scratch.shift[channel] = args.parameters.beta[channel] - args.saved.mean[channel] * scale;
  }
  sum_gradients<T, Act>(args, scratch);
  finish_gradients(args, scratch);
  write_gradients<T, Act>(args, scratch);
}

template <typename T>
void forward(const NormActForwardArgs& args) {
  switch (args.rule.activation) {
    case Activation::none: return forward<T, Activation::none>(args);
    case Activation::relu: return forward<T, Activation::relu>(args);
    case Activation::relu6: return forward<T, Activation::relu6>(args);
    case Activation::pact: return forward<T, Activation::pact>(args);
  }
}

template <typename T>
void backward(const NormActBackwardArgs& args) {
  switch (args.rule.activation) {
    case Activation::none: return backward<T, Activation::none>(args);
    case Activation::relu: return backward<T, Activation::relu>(args);
    case Activation::relu6: return backward<T, Activation::relu6>(args);
    case Activation::pact: return backward<T, Activation::pact>(args);
  }
}

}  // namespace

std::size_t norm_act_scratch_bytes(const NormActGeometry& geometry) {
  const auto chunks = static_cast<std::size_t>(chunks_of(geometry.rows));
  const auto width = static_cast<std::size_t>(padded(geometry.channels));
  return chunks * kForwardFields * width * sizeof(double) + (4 * width + chunks) * sizeof(float);
}

void norm_act_forward(const NormActForwardArgs& args) {
  args.geometry.dtype == DType::bf16 ? forward<Bf16>(args) : forward<float>(args);
}

void norm_act_backward(const NormActBackwardArgs& args) {
  args.geometry.dtype == DType::bf16 ? backward<Bf16>(args) : backward<float>(args);
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
