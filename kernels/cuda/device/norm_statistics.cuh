// What becomes of the statistics of a channel once they are known: forward of norm_act, and our own convolutions that
// leave them for it.
#pragma once

#include "kernels/cuda/device/norm_act.cuh"
#include "kernels/cuda/device/norm_moments.cuh"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {

/// The numbers of a channel besides its sums. The last block needs them; all blocks begin to read them before they know
/// which one is the last, so that they have arrived by then.
struct StatisticsFacts {
  float x_unit = 0;
  float gamma = 0;
  float beta = 0;
  float running_mean = 0;
  float running_var = 0;
  float input_bias = 0;

  __device__ static StatisticsFacts load(const NormActForwardArgs& args, int channel) {
    StatisticsFacts facts;
    if (channel >= args.geometry.channels) return facts;
    facts.x_unit = value_of(args.x_unit);
    facts.gamma = args.parameters.gamma[channel];
    facts.beta = args.parameters.beta[channel];
    facts.load_running_statistics(args, channel);
    return facts;
  }
  __device__ void load_running_statistics(const NormActForwardArgs& args, int channel) {
    running_mean = args.parameters.running_mean[channel];
    running_var = args.parameters.running_var[channel];
    if (args.parameters.input_bias != nullptr) input_bias = args.parameters.input_bias[channel];
  }
  /// Without the bias that the norm adds to x for it.
  __device__ float running_mean_of_x() const { return running_mean - input_bias; }
};

/// Saves the statistics of a channel; returns 1 / sqrt(var + epsilon).
__device__ inline float save_statistics(const Statistics& found, const NormActForwardArgs& args, int channel,
                                        const StatisticsFacts& facts) {
  const double momentum = args.rule.momentum;
  const auto inv_std = static_cast<float>(1.0 / sqrt(found.variance + static_cast<double>(args.rule.epsilon)));
  args.saved.mean[channel] = static_cast<float>(found.mean);
  args.saved.inv_std[channel] = inv_std;
  args.parameters.running_mean[channel] = static_cast<float>(
      (1 - momentum) * facts.running_mean + momentum * (found.mean + static_cast<double>(facts.input_bias)));
  args.parameters.running_var[channel] =
      static_cast<float>((1 - momentum) * facts.running_var + momentum * found.unbiased_variance);
  return inv_std;
}

/// max|act(z)| of a channel without shortcut: z is monotonic in x, so it lies at an extreme of x.
__device__ inline float largest_of(const NormActForwardArgs& args, const Normalization<1>& normalization, float low,
                                   float high) {
  const Clamp clamp(args.rule.activation, args.parameters.clip);
  const float at_low = fabsf(clamp.apply(normalization.z(low, 0.0F, 0)));
  const float at_high = fabsf(clamp.apply(normalization.z(high, 0.0F, 0)));
  return Largest()(at_low, at_high);
}

/// S = the largest number that any thread of the `count` blocks brings. The last block to arrive is told; its thread 0
/// has written S. `shared`: one number per warp.
__device__ inline bool save_largest(float largest, unsigned index, unsigned count, float* act_scale, float* shared,
                                    const GridMemory& memory) {
  largest = reduce_block(largest, shared, Largest());
  const bool is_last =
      combine_blocks(largest, index, count, static_cast<float*>(memory.sums), memory.last_counter(), Largest());
  if (is_last && threadIdx.x == 0) *act_scale = largest;
  return is_last;
}

/// How the largest activation, S, is found: it is given, or not wanted; or it follows from the extremes of each
/// channel; or, with a shortcut, all activations have to be looked at once more.
inline bool wants_largest(const NormActForwardArgs& args) {
  return args.rule.act_bits > 0 && args.act_scale == nullptr;
}
inline bool extremes_give_largest(const NormActForwardArgs& args) {
  return wants_largest(args) && args.shortcut == nullptr && args.rule.normalize;
}

}  // namespace bsq::cuda
