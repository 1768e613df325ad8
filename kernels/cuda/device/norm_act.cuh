// What forward and backward of norm_act share. z = scale (x - mean) + beta [+ shortcut], by the same expression on both
// sides, so that backward sees exactly forward's kinks; the mean is taken off first, so that a channel far from zero,
// or of no variance at all, loses no digits. Where nothing is normalized the mean is 0 and the scale 1.
#pragma once

#include "kernels/cuda/device/channel_tiles.cuh"
#include "kernels/ops/norm_act.h"

#include <cmath>

namespace bsq::cuda {

/// The rows of x among dense ones.
template <bool Pitched>
__device__ RowGap<Pitched> gap_of(const NormActGeometry& geometry) {
  return {geometry.x_pitch - geometry.channels};
}

/// Calls body<T, Width, Pitched>(tiles) for the type of x, the widest access that its rows allow, and whether they are
/// a part of wider ones. Dense rows have the widest access or none: it decides the order of sums, which stays as it is.
template <typename Body>
void with_rows(const NormActGeometry& geometry, int multiprocessors, Body body) {
  with_element(geometry.dtype, [&]<typename T>() {
    const auto call = [&]<int Width, bool Pitched>() {
      body.template operator()<T, Width, Pitched>(
          ChannelTiles(geometry.rows, geometry.channels, Width, multiprocessors));
    };
    constexpr int widest = kVectorWidth<T>;
    const auto fits = [&](int width) { return geometry.channels % width == 0 && geometry.x_pitch % width == 0; };
    if (geometry.x_pitch == 0 && fits(widest)) return call.template operator()<widest, false>();
    if (geometry.x_pitch == 0) return call.template operator()<1, false>();
    if (fits(widest)) return call.template operator()<widest, true>();
    if constexpr (widest > 4)
      if (fits(4)) return call.template operator()<4, true>();
    if (fits(2)) return call.template operator()<2, true>();
    call.template operator()<1, true>();
  });
}

/// The activation as a clamp: none is no clamp at all. Selections, not branches, since lanes differ in them.
struct Clamp {
  bool clamps = false;
  float floor = 0;
  float ceiling = 0;

  __device__ Clamp(Activation activation, const float* clip) : clamps(activation != Activation::none) {
    floor = clamps ? 0.0F : -INFINITY;
    ceiling = activation == Activation::relu6 ? 6.0F : learns_ceiling(activation) ? *clip : INFINITY;
  }
  /// act(z); a NaN stays one.
  __device__ float apply(float z) const {
    const float below = z > ceiling ? ceiling : z;
    return z < floor ? floor : below;
  }
  /// Whether the gradient passes.
  __device__ bool passes(float z) const {
    const bool above = z > 0.0F;
    const bool below = z < ceiling;
    return (!clamps) | (above & below);
  }
};

/// What `Width` neighbouring channels are normalized with. x and shortcut are given as they are stored.
template <int Width>
struct Normalization {
  float x_unit;
  float shortcut_unit;
  float mean[Width];
  float inv_std[Width];
  float scale[Width];
  float beta[Width];

  /// Begins all reads before it waits for the first.
  __device__ Normalization(const NormActForwardArgs& args, int channel)
      : Normalization(args, channel, args.rule.batch_statistics) {}
  __device__ Normalization(const NormActBackwardArgs& args, int channel) : Normalization(args, channel, true) {}
  /// For one channel whose numbers are all known.
  __device__ Normalization(float unit_of_x, float known_mean, float known_inv_std, float gamma,
                           float known_beta) requires(Width == 1)
      : x_unit(unit_of_x),
        shortcut_unit(1.0F),
        mean{known_mean},
        inv_std{known_inv_std},
        scale{gamma * known_inv_std},
        beta{known_beta} {}
  /// x - mean
  __device__ float centred(float x, int i) const { return fmaf(x, x_unit, -mean[i]); }
  __device__ float z(float x, float shortcut, int i) const {
    return fmaf(shortcut, shortcut_unit, fmaf(centred(x, i), scale[i], beta[i]));
  }

 private:
  template <typename Args>
  __device__ Normalization(const Args& args, int channel, bool of_batch)
      : x_unit(value_of(args.x_unit)), shortcut_unit(value_of(args.shortcut_unit)) {
    if (!args.rule.normalize) {
      for (int i = 0; i < Width; ++i) mean[i] = beta[i] = 0;
      for (int i = 0; i < Width; ++i) inv_std[i] = scale[i] = 1;
      if (args.parameters.beta != nullptr) load_floats(args.parameters.beta + channel, beta);
      return;
    }
    float gamma[Width];
    load_floats((of_batch ? args.saved.mean : args.parameters.running_mean) + channel, mean);
    load_floats((of_batch ? args.saved.inv_std : args.parameters.running_var) + channel, inv_std);
    load_floats(args.parameters.gamma + channel, gamma);
    load_floats(args.parameters.beta + channel, beta);
    if (!of_batch) {
      float bias[Width] = {};
      if (args.parameters.input_bias != nullptr) load_floats(args.parameters.input_bias + channel, bias);
      for (int i = 0; i < Width; ++i) mean[i] -= bias[i];
      for (int i = 0; i < Width; ++i) inv_std[i] = 1.0F / sqrtf(inv_std[i] + args.rule.epsilon);
    }
    for (int i = 0; i < Width; ++i) scale[i] = gamma[i] * inv_std[i];
  }
};

/// The parts of a tile's sums that the row blocks leave: [row block][field][channel], 16-byte aligned.
struct PartialTable {
  float* values = nullptr;
  int fields = 0;
  int channels = 0;

  __device__ float* at(int row_block, int field, int channel) const {
    return values + (std::int64_t{row_block} * fields + field) * channels + channel;
  }
};

/// Adds up the parts of a tile's channels: every thread takes some neighbouring channels of one field, and every n-th
/// row block. Many reads are under way at a time, since their latency is what counts.
template <int Width, int Fields>
class RowBlockSums {
 public:
  static constexpr int kStep = Width % 4 == 0 ? 4 : 1;    // channels per thread: 16 bytes
  static constexpr int kStride = kTileThreads + kStep;    // numbers of neighbouring channels lie in other banks
  static constexpr int kSharedDoubles = kStep * kStride;  // what combine() needs

  /// Arithmetic alone: it fits in while the thread waits for other blocks.
  __device__ explicit RowBlockSums(const ChannelTiles& tiles)
      : own_channels_(tiles.columns * Width), parts_of_field_(own_channels_ / kStep), parts_(Fields * parts_of_field_) {
    const int thread = static_cast<int>(threadIdx.x);
    lanes_ = tiles.by_own_channels.divide(kTileThreads * kStep) / Fields;
    lane_ = tiles.by_own_channels.divide(thread * kStep) / Fields;
    const int part = thread - lane_ * parts_;
    field_ = tiles.by_own_channels.divide(part * kStep);
    first_channel_ = static_cast<int>(blockIdx.y) * own_channels_ + (part - field_ * parts_of_field_) * kStep;
    active_ = lane_ < lanes_ && first_channel_ < tiles.channels;
  }

  /// The channel whose sums combine() gives to this thread; past the last one if there is none.
  __device__ int channel(const ChannelTiles& tiles) const {
    const int thread = static_cast<int>(threadIdx.x);
    return thread < own_channels_ ? static_cast<int>(blockIdx.y) * own_channels_ + thread : tiles.channels;
  }

  /// Combines by Rule, a FieldRule; sums are double. Threads without a channel get numbers without a meaning. `shared`
  /// is free after the next barrier.
  template <typename Rule>
  __device__ void combine(const ChannelTiles& tiles, const PartialTable& partials, Rule, double (&values)[Fields],
                          double* shared) const {
    const int thread = static_cast<int>(threadIdx.x);
    double sum[kStep] = {};
    float largest[kStep];
    for (int i = 0; i < kStep; ++i) largest[i] = -INFINITY;
    const bool is_sum = field_ < Rule::kSums;
    if (active_) add_blocks(tiles, partials, is_sum, sum, largest);
    for (int i = 0; i < kStep; ++i) shared[i * kStride + thread] = is_sum ? sum[i] : static_cast<double>(largest[i]);
    __syncthreads();
    if (thread >= own_channels_) return;
    const double* own = shared + thread % kStep * kStride + thread / kStep;
    const auto of_lane = [&](int lane, int field) { return own[lane * parts_ + field * parts_of_field_]; };
    constexpr int chains = 4;  // sums of doubles take long: so many run side by side
    double chain[Fields][chains];
    for (int field = 0; field < Fields; ++field)
      for (int i = 0; i < chains; ++i) chain[field][i] = Rule::template identity<double>(field);
    int lane = 0;
#pragma unroll 1
    for (; lane + chains <= lanes_; lane += chains)
      for (int field = 0; field < Fields; ++field)
        for (int i = 0; i < chains; ++i)
          chain[field][i] = Rule::combine(field, chain[field][i], of_lane(lane + i, field));
#pragma unroll 1
    for (; lane < lanes_; ++lane)
      for (int field = 0; field < Fields; ++field)
        chain[field][0] = Rule::combine(field, chain[field][0], of_lane(lane, field));
    for (int field = 0; field < Fields; ++field)
      values[field] = Rule::combine(field, Rule::combine(field, chain[field][0], chain[field][1]),
                                    Rule::combine(field, chain[field][2], chain[field][3]));
  }

 private:
  __device__ void add_blocks(const ChannelTiles& tiles, const PartialTable& partials, bool is_sum, double (&sum)[kStep],
                             float (&largest)[kStep]) const {
    constexpr int in_flight = 4 * Fields;  // reads at a time; all there are if the tensor is not large
    const float nothing = is_sum ? 0.0F : -INFINITY;
    const float* from = partials.at(0, field_, first_channel_);
    const int row = partials.fields * partials.channels;
#pragma unroll 1
    for (int first = lane_; first < tiles.row_blocks; first += in_flight * lanes_) {
      float part[in_flight][kStep];
#pragma unroll
      for (int i = 0; i < in_flight; ++i) {
        const int block = first + i * lanes_;
        for (int k = 0; k < kStep; ++k) part[i][k] = nothing;
        if (block < tiles.row_blocks) load<kStep>(from + std::int64_t{block} * row, part[i]);
      }
      if (is_sum) {
#pragma unroll
        for (int i = 0; i < in_flight; ++i)
          for (int k = 0; k < kStep; ++k) sum[k] += static_cast<double>(part[i][k]);
      } else {
#pragma unroll
        for (int i = 0; i < in_flight; ++i)
          for (int k = 0; k < kStep; ++k) largest[k] = Largest()(largest[k], part[i][k]);
      }
    }
  }

  int own_channels_;
  int parts_of_field_;
  int parts_;  // for all fields
  int lanes_;
  int lane_;
  int field_;
  int first_channel_;
  bool active_;
};

}  // namespace bsq::cuda
