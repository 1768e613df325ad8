// What norm_act forward writes: the activation of x and the shortcut, as a level where it is quantized.
#pragma once

#include "kernels/cuda/device/norm_act.cuh"

namespace bsq::cuda {

/// rintf of a number below 2^22 in two additions: an instruction that rounds runs at an eighth of their rate.
__device__ inline float nearest(float number) {
  constexpr float no_fraction = 1.5F * (1 << 23);  // numbers of this size have none
  return __fadd_rn(__fadd_rn(number, no_fraction), -no_fraction);
}

/// The grid of a range (NormActRanges).
struct RangeGrid {
  bool rounds = false;
  float per_unit = 1;
  float unit = 1;
  float lowest = 0;  // level
  float highest = 0;

  __device__ explicit RangeGrid(const float* range) {
    constexpr double top = 255;
    constexpr float least_unit = 1e-37F;
    if (range == nullptr) return;
    const double low = range[0] < 0.0F ? static_cast<double>(range[0]) : 0.0;
    const double high = range[1] > 0.0F ? static_cast<double>(range[1]) : 0.0;
    const auto found = static_cast<float>((high - low) / top);
    rounds = true;
    highest = static_cast<float>(top);
    if (!(found >= least_unit)) return;
    unit = found;
    per_unit = 1.0F / unit;
    lowest = -static_cast<float>(rint(-low / static_cast<double>(unit)));
    highest += lowest;
  }
  /// The nearest number of the grid; a NaN stays one.
  __device__ float apply(float number) const {
    const float level = number * per_unit;
    const float above = level < lowest ? lowest : level;
    const float within = above > highest ? highest : above;
    return rounds ? nearest(within) * unit : number;
  }
};

/// All grids of a call.
struct RangeGrids {
  RangeGrid term;
  RangeGrid shortcut;
  RangeGrid y;

  __device__ explicit RangeGrids(const NormActRanges& ranges)
      : term(ranges.term), shortcut(ranges.shortcut), y(ranges.y) {}
};

/// Where nothing is rounded to ranges: a type of its own, so that the kernels of ordinary training are compiled apart.
struct NoRangeGrids {
  __device__ explicit NoRangeGrids(const NormActRanges&) {}
};

template <bool Rounds>
using RangeGridsIf = std::conditional_t<Rounds, RangeGrids, NoRangeGrids>;

/// One vector each of x and of the shortcut, as they lie in memory.
template <typename T, int Width>
struct RawPair {
  Raw<T, Width> x;
  Raw<T, Width> shortcut{};  // zeros if there is none

  template <bool Pitched>
  __device__ static RawPair load(const NormActForwardArgs& args, RowPlace<Pitched> at) {
    RawPair pair;
    pair.x = load_raw<Width>(static_cast<const T*>(args.x) + at.in_pitched());
    if (args.shortcut != nullptr) pair.shortcut = load_raw<Width>(static_cast<const T*>(args.shortcut) + at.dense);
    return pair;
  }
  /// act(z)
  template <typename Grids>
  __device__ void activate(const Normalization<Width>& normalization, const Clamp& clamp, const Grids& grids,
                           float (&y)[Width]) const {
    float value[Width];
    float addend[Width];
    unpack(x, value);
    unpack(shortcut, addend);
    for (int i = 0; i < Width; ++i) {
      if constexpr (std::is_same_v<Grids, RangeGrids>) {
        const float term = grids.term.apply(normalization.z(value[i], 0.0F, i));
        const float z = term + grids.shortcut.apply(addend[i] * normalization.shortcut_unit);
        y[i] = grids.y.apply(clamp.apply(z));
      } else {
        y[i] = clamp.apply(normalization.z(value[i], addend[i], i));
      }
    }
  }
};

/// The grid that activations are rounded to: all levels are 0 if S is 0, or too small for its steps to differ.
struct LevelGrid {
  float levels_per_one = 0;
  float unit = 0;
  float limit = 0;  // S

  /// Reads S, which the constructor needs.
  __device__ static float load_scale(const NormActForwardArgs& args) {
    if (args.rule.act_bits == 0) return 0;
    return *(args.act_scale != nullptr ? args.act_scale : args.saved.act_scale);
  }
  __device__ LevelGrid(const NormActForwardArgs& args, float act_scale) {
    constexpr float largest_ratio = 1e38F;
    if (args.rule.act_bits == 0) return;
    const auto levels = static_cast<float>((1 << args.rule.act_bits) - 1);
    if (act_scale == 0.0F || levels / act_scale > largest_ratio) return;
    levels_per_one = levels / act_scale;
    unit = act_scale / levels;
    limit = act_scale;
  }
  /// The level of y; a NaN stays one, and if S is NaN all levels are.
  __device__ float level(float y) const {
    const float above = y < -limit ? -limit : y;
    const float within = y > limit ? limit : above;
    return nearest(within * levels_per_one);
  }
};

/// Makes y, as it is stored, of the vectors of `Width` neighbouring channels, once the statistics and S are known.
template <typename T, int Width, bool Rounds = false>
class Activations {
 public:
  __device__ Activations(const NormActForwardArgs& args, int channel)
      : act_bits_(args.rule.act_bits),
        clamp_(args.rule.activation, args.parameters.clip),
        normalization_(args, channel),
        grids_(args.ranges),
        grid_(args, LevelGrid::load_scale(args)),
        stored_level_(args.y_unit != nullptr ? 1.0F : grid_.unit) {}

  __device__ void make(const RawPair<T, Width>& pair, float (&y)[Width]) const {
    pair.activate(normalization_, clamp_, grids_, y);
    if (act_bits_ > 0)
      for (int i = 0; i < Width; ++i) y[i] = grid_.level(y[i]) * stored_level_;
  }
  __device__ const Normalization<Width>& normalization() const { return normalization_; }
  __device__ const LevelGrid& grid() const { return grid_; }

 private:
  int act_bits_;
  Clamp clamp_;
  Normalization<Width> normalization_;
  [[no_unique_address]] RangeGridsIf<Rounds> grids_;
  LevelGrid grid_;
  float stored_level_;
};

}  // namespace bsq::cuda
