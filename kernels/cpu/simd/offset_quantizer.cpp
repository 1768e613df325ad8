// The quantizer of LSQ+: sixteen numbers at a time; the sums of chunks are added up in their order.
#include "kernels/cpu/simd/parallel_lanes.h"
#include "kernels/cpu/simd/variant.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

/// The parameters as every element needs them.
struct LevelRule {
  float step;
  float offset;
  float most;  // the highest level
};

BSQ_LANES_INLINE LevelRule level_rule(const OffsetQuantizerGeometry& geometry,
                                      const OffsetQuantizerParameters& parameters) {
  return {*parameters.step, *parameters.offset, static_cast<float>((1 << geometry.bits) - 1)};
}

BSQ_LANES_INLINE FloatLanes place_of(const LevelRule& rule, FloatLanes number) {
  return (number - rule.offset) / rule.step;
}

BSQ_LANES_INLINE FloatLanes level_at(const LevelRule& rule, FloatLanes place) {
  return round_half_even(at_most(at_least(place, FloatLanes{}), broadcast(rule.most)));
}

/// The product is exact in double and rounded once, so that no compiler fuses it with the addition.
BSQ_LANES_INLINE FloatLanes value_of_level(const LevelRule& rule, FloatLanes level) {
  const DoubleLanes product = widen(level) * static_cast<double>(rule.step);
  return __builtin_convertvector(product, FloatLanes) + rule.offset;
}

template <typename T>
void forward(const OffsetQuantizerForwardArgs& args) {
  const LevelRule rule = level_rule(args.geometry, args.parameters);
  const auto* input = static_cast<const T*>(args.input);
  auto* output = static_cast<T*>(args.output);
  parallel_lanes(args.geometry.numel, [&]<bool Full>(std::int64_t at, int count) {
    const FloatLanes place = place_of(rule, load_lanes<Full>(input + at, count));
    store_lanes<Full>(output + at, value_of_level(rule, level_at(rule, place)), count);
  });
}

/// What the elements of a chunk add to the gradients of the two parameters.
struct LaneSums {
  DoubleLanes step;
  DoubleLanes offset;
};

/// Lanes that are not in use have a gradient of 0.
template <bool Full, bool Accumulate, typename T>
BSQ_LANES_INLINE void backward_lanes(const LevelRule& rule, const T* input, const T* d_output, T* d_input,
                                     LaneSums& sums, int count) {
  const FloatLanes place = place_of(rule, load_lanes<Full>(input, count));
  const FloatLanes level = level_at(rule, place);
  const FloatLanes dy = load_lanes<Full>(d_output, count), zero{};
  const IntLanes is_outside = (place < zero) | (place > broadcast(rule.most));
  sums.step += widen(dy * (is_outside ? level : level - place));
  sums.offset += widen(is_outside ? dy : zero);
  FloatLanes dx = is_outside ? zero : dy;
  if constexpr (Accumulate) dx += load_lanes<Full>(static_cast<const T*>(d_input), count);
  store_lanes<Full>(d_input, dx, count);
}

BSQ_LANES_INLINE std::int64_t flat_chunks(std::int64_t numel) {
  return (numel + kFlatChunk - 1) / kFlatChunk;
}

template <bool Accumulate, typename T>
void backward(const OffsetQuantizerBackwardArgs& args) {
  const LevelRule rule = level_rule(args.geometry, args.parameters);
  const auto* input = static_cast<const T*>(args.input);
  const auto* d_output = static_cast<const T*>(args.d_output);
  auto* d_input = static_cast<T*>(args.d_input);
  auto* partials = static_cast<double*>(args.scratch);
  const std::int64_t numel = args.geometry.numel, chunks = flat_chunks(numel);
#pragma omp parallel for schedule(static)
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    LaneSums sums{};
    std::int64_t at = chunk * kFlatChunk;
    const std::int64_t end = at + kFlatChunk < numel ? at + kFlatChunk : numel;
    for (; at + kLanes <= end; at += kLanes)
      backward_lanes<true, Accumulate>(rule, input + at, d_output + at, d_input + at, sums, kLanes);
    if (at < end)
      backward_lanes<false, Accumulate>(rule, input + at, d_output + at, d_input + at, sums,
                                        static_cast<int>(end - at));
    double step = 0, offset = 0;
    for (int lane = 0; lane < kLanes; ++lane) {
      step += sums.step[lane];
      offset += sums.offset[lane];
    }
    partials[2 * chunk] = step;
    partials[2 * chunk + 1] = offset;
  }
  double step = 0, offset = 0;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    step += partials[2 * chunk];
    offset += partials[2 * chunk + 1];
  }
  *args.d_step = static_cast<float>(static_cast<double>(args.gain) * step);
  *args.d_offset = static_cast<float>(static_cast<double>(args.gain) * offset);
}

template <typename T>
void backward_of(const OffsetQuantizerBackwardArgs& args) {
  args.mode == GradMode::accumulate ? backward<true, T>(args) : backward<false, T>(args);
}

}  // namespace

std::size_t offset_quantizer_scratch_bytes(const OffsetQuantizerGeometry& of) {
  return static_cast<std::size_t>(2 * flat_chunks(of.numel)) * sizeof(double);
}

void offset_quantizer_forward(const OffsetQuantizerForwardArgs& args) {
  args.geometry.dtype == DType::bf16 ? forward<Bf16>(args) : forward<float>(args);
}

void offset_quantizer_backward(const OffsetQuantizerBackwardArgs& args) {
  args.geometry.dtype == DType::bf16 ? backward_of<Bf16>(args) : backward_of<float>(args);
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
