// Dropout: the mask is drawn again in each pass, never stored.
//
// Least bytes: a tensor read and one written. A Philox call gives the bits of four elements, which lie 16 apart: a
// thread takes as many neighbouring counters as an access moves elements, and with them four accesses.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/random.h"

namespace bsq::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWords = 4;  // of a counter

/// Where the output has a unit of its own: that of the input, and what it is for the output.
struct Units {
  const float* input = nullptr;  // 1 where null
  float* output = nullptr;
};

// grid (batch, blocks per sample), block kThreads, one thread per Width counters of a group
template <typename T, int Width, bool Accumulate>
__global__ void drop(std::int64_t sample_size, DropoutRule rule, SampleKeys keys, const T* input, float scale,
                     T* output, Units units) {
  constexpr int threads_per_group = kDropoutCounters / Width;
  wait_for_previous();
  if (units.output != nullptr && blockIdx.x + blockIdx.y + threadIdx.x == 0)
    *units.output = rule.scale * (units.input == nullptr ? 1.0F : *units.input);
  const std::int64_t index = std::int64_t{blockIdx.y} * kThreads + threadIdx.x;
  const std::int64_t group = index / threads_per_group;
  const int counter = static_cast<int>(index % threads_per_group) * Width;  // the first one
  const std::int64_t first = group * kDropoutGroup + counter;
  if (first >= sample_size) return;
  const std::int64_t from = blockIdx.x * sample_size + first;
  Raw<T, Width> raw[kWords], raw_before[kWords];
#pragma unroll
  for (int word = 0; word < kWords; ++word) {
    if (first + word * kDropoutCounters >= sample_size) continue;
    raw[word] = load_raw<Width>(input + from + word * kDropoutCounters);
    if constexpr (Accumulate) raw_before[word] = load_raw<Width>(output + from + word * kDropoutCounters);
  }
  const std::int32_t epoch = keys.inputs->epoch;
  const std::int32_t sample = keys.samples[keys.inputs->first_sample + blockIdx.x];
  unsigned kept[kWords] = {};  // a bit for each element
#pragma unroll
  for (int i = 0; i < Width; ++i) {
    const PhiloxCounter bits = draw_dropout(keys.seed, keys.stream, epoch, sample, group, counter + i);
#pragma unroll
    for (int word = 0; word < kWords; ++word)
      kept[word] |= static_cast<unsigned>(static_cast<std::int32_t>(bits[word] >> 8) >= rule.threshold) << i;
  }
#pragma unroll
  for (int word = 0; word < kWords; ++word) {
    if (first + word * kDropoutCounters >= sample_size) continue;
    float value[Width], before[Width] = {};
    unpack(raw[word], value);
    if constexpr (Accumulate) unpack(raw_before[word], before);
    for (int i = 0; i < Width; ++i) {
      value[i] = (kept[word] >> i & 1U) != 0 ? scale * value[i] : 0.0F;
      if constexpr (Accumulate) value[i] += before[i];
    }
    store<Width>(output + from + word * kDropoutCounters, value);
  }
}

struct Request {
  DropoutGeometry geometry;
  DropoutRule rule;
  SampleKeys keys;
  const void* input;
  float scale;
  void* output;
  Units units;
};

template <bool Accumulate>
void run(const Request& request, cudaStream_t stream) {
  const auto& [batch, size, dtype] = request.geometry;
  with_element(dtype, [&]<typename T>() {
    const auto launch_width = [&]<int Width>() {
      constexpr std::int64_t per_block = std::int64_t{kThreads} * Width * kWords;
      const dim3 grid(static_cast<unsigned>(batch), static_cast<unsigned>((size + per_block - 1) / per_block));
      launch(drop<T, Width, Accumulate>, grid, dim3(kThreads), 0, stream, size, request.rule, request.keys,
             static_cast<const T*>(request.input), request.scale, static_cast<T*>(request.output), request.units);
    };
    size % kVectorWidth<T> == 0 ? launch_width.template operator()<kVectorWidth<T>>()
                                : launch_width.template operator()<1>();
  });
}

}  // namespace

void dropout_forward(const DropoutForwardArgs& args, const DeviceContext& on) {
  const bool has_unit = args.output_unit != nullptr;
  run<false>({args.geometry,
              args.rule,
              args.keys,
              args.input,
              has_unit ? 1.0F : args.rule.scale,
              args.output,
              {args.unit.activation, args.output_unit}},
             on.stream);
}

void dropout_backward(const DropoutBackwardArgs& args, const DeviceContext& on) {
  const Request request{args.geometry, args.rule, args.keys, args.d_output, args.has_unit ? 1.0F : args.rule.scale,
                        args.d_input,  {}};
  args.mode == GradMode::accumulate ? run<true>(request, on.stream) : run<false>(request, on.stream);
}

}  // namespace bsq::cuda
