// What backward of norm_act computes of a row, and what becomes of the sums of a channel: for its own passes, and for
// our own convolutions that leave these sums for it.
#pragma once

#include "kernels/cuda/device/norm_act.cuh"
#include "kernels/cuda/device/norm_levels.cuh"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {

/// The numbers of a channel besides its sums. The last block needs them; all blocks begin to read them before they know
/// which one is the last, so that they have arrived by then.
struct GradientFacts {
  float x_unit = 0;
  float gamma = 0;
  float inv_std = 0;

  __device__ GradientFacts(const NormActBackwardArgs& args, int channel) {
    if (channel >= args.geometry.channels) return;
    x_unit = value_of(args.x_unit);
    gamma = args.parameters.gamma[channel];
    inv_std = args.saved.inv_std[channel];
  }
};

/// d_x = x_unit scale dz + slope (x - mean) + offset; [C] each. Before slope and offset are
/// known, they hold what the ranks exchange: the sums of dz and of dz (x - mean).
struct Coefficients {
  float* slope = nullptr;
  float* offset = nullptr;

  __device__ void set(const GradientFacts& facts, int channel, double sum, double projection, double per_row) const {
    const double inv_std = facts.inv_std;
    const double scale = static_cast<double>(facts.x_unit) * facts.gamma * inv_std;
    slope[channel] = static_cast<float>(-scale * inv_std * inv_std * projection * per_row);
    offset[channel] = static_cast<float>(-scale * sum * per_row);
  }
};

/// Where a convolution leaves them.
__device__ __host__ inline Coefficients saved_coefficients(const NormActBackwardArgs& args) {
  return {args.saved.coefficients, args.saved.coefficients + args.geometry.channels};
}

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
  float per_level = 0;  // of lsq; 0: nothing below the ceiling moves it
  float levels_per_one = 0;

  __device__ explicit Scaling(const NormActBackwardArgs& args)
      : clamp(args.rule.activation, args.parameters.clip), y_unit(args.y_unit == nullptr ? 1.0F : *args.y_unit) {
    if (args.rule.activation != Activation::lsq) return;
    const auto levels = static_cast<float>((1 << args.rule.act_bits) - 1);
    per_level = 1.0F / levels;
    levels_per_one = levels / clamp.ceiling;
  }
  /// What of dy a learned ceiling gets; the level is that of forward.
  __device__ float to_ceiling(float z, float d_y) const {
    const float level = z > 0.0F ? z * levels_per_one : 0.0F;
    const float share = (nearest(level) - level) * per_level;
    return z >= clamp.ceiling ? d_y : d_y * share;
  }
  /// The factor that makes dy of a d_y with respect to levels.
  __device__ float dy_per_stored() const { return y_unit == 0.0F ? 0.0F : 1.0F / y_unit; }
};

/// The sums of a channel that backward needs.
enum GradientField { kGradientSum, kProjection, kClipped, kGradientFields };

/// Adds a vector's dz, dz (x - mean) and, if there is a sum for it, what a learned ceiling gets.
template <int Fields, typename T, int Width>
__device__ void add_gradients(const Gradients<T, Width>& at, const Scaling& scaling, float (&sums)[Fields][Width]) {
  for (int i = 0; i < Width; ++i) {
    const float d_z = scaling.clamp.passes(at.z[i]) ? at.d_y[i] : 0.0F;
    sums[kGradientSum][i] += d_z;
    sums[kProjection][i] = fmaf(d_z, at.centred[i], sums[kProjection][i]);
    if constexpr (Fields > kClipped) sums[kClipped][i] += scaling.to_ceiling(at.z[i], at.d_y[i]);
  }
}

/// d_clip = the sum of what the `count` column tiles bring, in the last of them to arrive.
__device__ inline void save_d_clip(const NormActBackwardArgs& args, double of_channel, unsigned tile, unsigned count,
                                   const GridMemory& memory, double* shared) {
  double d_clip = reduce_block(of_channel, shared, Sum());
  const bool is_last =
      combine_blocks(d_clip, tile, count, static_cast<double*>(memory.sums), memory.last_counter(), Sum());
  if (!is_last || threadIdx.x != 0) return;
  const float gain = args.rule.activation == Activation::lsq ? args.rule.clip_gain : 1.0F;
  *args.gradients.d_clip = static_cast<float>(d_clip * static_cast<double>(gain));
}

/// What the last block of a column tile makes of the sums of one of its channels.
__device__ inline void finish_gradients(const NormActBackwardArgs& args, const GradientFacts& facts,
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

}  // namespace bsq::cuda
