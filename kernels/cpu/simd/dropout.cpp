// Dropout: 64 elements at a time, for which sixteen Philox counters give a word each.
#include "kernels/cpu/simd/philox_lanes.h"
#include "kernels/cpu/simd/variant.h"
#include "kernels/random.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

constexpr std::int64_t kGroupsAtOnce = 64;  // of a sample, a unit of parallel work
static_assert(kDropoutCounters == kLanes);

/// All bits of the elements that stay, none of those that are dropped.
struct GroupMask {
  std::uint32_t kept[4][kLanes];
};

/// What the masks of one sample are drawn by.
struct SampleStream {
  std::uint64_t seed;
  std::uint32_t stream, epoch, sample;
  std::int32_t threshold;
};

BSQ_LANES_INLINE void draw_mask(const SampleStream& of, std::int64_t group, GroupMask& mask) {
  const auto counter = static_cast<std::uint32_t>(group * kDropoutCounters);
  for (int first = 0; first < kLanes; first += kRegisterWords) {
    Words words[4] = {Words{} + of.sample, Words{} + of.epoch, Words{} + of.stream,
                      count_up() + (counter + static_cast<std::uint32_t>(first))};
    philox_lanes(words, of.seed);
    for (int word = 0; word < 4; ++word) {
      const SignedWords kept = reinterpret_cast<SignedWords>(words[word] >> 8) >= of.threshold;
      __builtin_memcpy(&mask.kept[word][first], &kept, sizeof(kept));
    }
  }
}

/// Whatever is not kept is 0, be it infinity.
template <bool Full, bool Accumulate, typename T>
BSQ_LANES_INLINE void drop_lanes(const T* from, float scale, const std::uint32_t (&kept)[kLanes], T* to, int count) {
  WordLanes mask;
  __builtin_memcpy(&mask, kept, sizeof(mask));
  const FloatLanes scaled = scale * load_lanes<Full>(from, count);
  FloatLanes value = reinterpret_cast<FloatLanes>(reinterpret_cast<WordLanes>(scaled) & mask);
  if constexpr (Accumulate) value += load_lanes<Full>(static_cast<const T*>(to), count);
  store_lanes<Full>(to, value, count);
}

template <bool Accumulate, typename T>
void drop(const DropoutGeometry& geometry, const DropoutRule& rule, const SampleKeys& keys, const T* input, float scale,
          T* output) {
  const std::int64_t size = geometry.sample_size;
  const std::int64_t groups = (size + kDropoutGroup - 1) / kDropoutGroup;
  const std::int64_t parts = (groups + kGroupsAtOnce - 1) / kGroupsAtOnce;  // of a sample
  const std::int32_t* samples = keys.samples + keys.inputs->first_sample;
  const auto epoch = static_cast<std::uint32_t>(keys.inputs->epoch);
#pragma omp parallel for schedule(static)
  for (std::int64_t part = 0; part < geometry.batch * parts; ++part) {
    const std::int64_t row = part / parts, first = part % parts * kGroupsAtOnce;
    const SampleStream stream{keys.seed, keys.stream, epoch, static_cast<std::uint32_t>(samples[row]), rule.threshold};
    const T* from = input + row * size;
    T* to = output + row * size;
    const std::int64_t end = first + kGroupsAtOnce < groups ? first + kGroupsAtOnce : groups;
    for (std::int64_t group = first; group < end; ++group) {
      GroupMask mask;
      draw_mask(stream, group, mask);
      for (int word = 0; word < 4; ++word) {
        const std::int64_t at = group * kDropoutGroup + word * kLanes;
        if (at + kLanes <= size)
          drop_lanes<true, Accumulate>(from + at, scale, mask.kept[word], to + at, kLanes);
        else if (at < size)
          drop_lanes<false, Accumulate>(from + at, scale, mask.kept[word], to + at, static_cast<int>(size - at));
      }
    }
  }
}

template <typename T>
void backward(const DropoutBackwardArgs& args) {
  const float scale = args.has_unit ? 1.0F : args.rule.scale;
  const auto* d_output = static_cast<const T*>(args.d_output);
  auto* d_input = static_cast<T*>(args.d_input);
  args.mode == GradMode::accumulate ? drop<true>(args.geometry, args.rule, args.keys, d_output, scale, d_input)
                                    : drop<false>(args.geometry, args.rule, args.keys, d_output, scale, d_input);
}

template <typename T>
void forward(const DropoutForwardArgs& args, float scale) {
  drop<false>(args.geometry, args.rule, args.keys, static_cast<const T*>(args.input), scale,
              static_cast<T*>(args.output));
}

}  // namespace

void dropout_forward(const DropoutForwardArgs& args) {
  float scale = args.rule.scale;
  if (args.output_unit != nullptr) {
    *args.output_unit = scale * (args.unit.activation == nullptr ? 1.0F : *args.unit.activation);
    scale = 1;
  }
  args.geometry.dtype == DType::bf16 ? forward<Bf16>(args, scale) : forward<float>(args, scale);
}

void dropout_backward(const DropoutBackwardArgs& args) {
  args.geometry.dtype == DType::bf16 ? backward<Bf16>(args) : backward<float>(args);
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
