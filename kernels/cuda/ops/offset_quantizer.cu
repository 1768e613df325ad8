// The quantizer of LSQ+. Backward leaves two sums per block in scratch memory, which its last block adds up.
//
// Least bytes: forward reads and writes a tensor, backward reads two and writes one.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kBlockElements = 16 * kThreads;  // whatever the type

/// The parameters as every element needs them.
struct LevelRule {
  float step;
  float offset;
  float most;  // the highest level

  __device__ LevelRule(const OffsetQuantizerParameters& parameters, int bits)
      : step(*parameters.step), offset(*parameters.offset), most(static_cast<float>((1 << bits) - 1)) {}

  __device__ float place(float number) const { return __fdiv_rn(number - offset, step); }
  /// A NaN stays one.
  __device__ float level(float place) const {
    const float above = place < 0.0F ? 0.0F : place;
    return rintf(above > most ? most : above);
  }
  __device__ float value(float level) const { return __fadd_rn(__fmul_rn(step, level), offset); }
};

/// Calls body(index) for the vectors of this thread.
template <int Width, typename Body>
__device__ void for_vectors(std::int64_t numel, Body body) {
  constexpr int vectors = kBlockElements / (kThreads * Width);
  const std::int64_t first = std::int64_t{blockIdx.x} * kBlockElements + static_cast<int>(threadIdx.x) * Width;
#pragma unroll 4
  for (int i = 0; i < vectors; ++i) {
    const std::int64_t at = first + std::int64_t{i} * kThreads * Width;
    if (at < numel) body(at);
  }
}

// grid one block per kBlockElements, block kThreads
template <typename T, int Width>
__global__ void quantize(OffsetQuantizerForwardArgs args) {
  wait_for_previous();
  const LevelRule rule(args.parameters, args.geometry.bits);
  for_vectors<Width>(args.geometry.numel, [&](std::int64_t at) {
    float number[Width];
    load<Width>(static_cast<const T*>(args.input) + at, number);
    for (int i = 0; i < Width; ++i) number[i] = rule.value(rule.level(rule.place(number[i])));
    store<Width>(static_cast<T*>(args.output) + at, number);
  });
}

// grid one block per kBlockElements, block kThreads
template <typename T, int Width>
__global__ void quantize_backward(OffsetQuantizerBackwardArgs args, GridMemory memory) {
  wait_for_previous();
  BSQ_SHARED(double, shared, [kThreads / kWarp]);
  const LevelRule rule(args.parameters, args.geometry.bits);
  double step = 0, offset = 0;
  for_vectors<Width>(args.geometry.numel, [&](std::int64_t at) {
    float number[Width], gradient[Width];
    load<Width>(static_cast<const T*>(args.input) + at, number);
    load<Width>(static_cast<const T*>(args.d_output) + at, gradient);
    for (int i = 0; i < Width; ++i) {
      const float place = rule.place(number[i]), level = rule.level(place);
      const bool is_outside = place < 0.0F || place > rule.most;
      step += static_cast<double>(gradient[i] * (is_outside ? level : level - place));
      if (!is_outside) continue;
      offset += static_cast<double>(gradient[i]);
      gradient[i] = 0;
    }
    store_gradient<Width>(static_cast<T*>(args.d_input) + at, gradient, args.mode);
  });
  auto* partials = static_cast<double*>(args.scratch);
  step = reduce_block(step, shared, Sum());
  offset = reduce_block(offset, shared, Sum());
  if (threadIdx.x == 0) {
    partials[2 * blockIdx.x] = step;
    partials[2 * blockIdx.x + 1] = offset;
  }
  if (!arrives_last(memory.last_counter(), gridDim.x)) return;
  double steps = 0, offsets = 0;
  for (unsigned block = threadIdx.x; block < gridDim.x; block += kThreads) {
    steps += partials[2 * block];
    offsets += partials[2 * block + 1];
  }
  steps = reduce_block(steps, shared, Sum());
  offsets = reduce_block(offsets, shared, Sum());
  if (threadIdx.x != 0) return;
  *args.d_step = static_cast<float>(static_cast<double>(args.gain) * steps);
  *args.d_offset = static_cast<float>(static_cast<double>(args.gain) * offsets);
}

unsigned blocks_of(const OffsetQuantizerGeometry& of) {
  return static_cast<unsigned>((of.numel + kBlockElements - 1) / kBlockElements);
}

/// Calls body<T, Width>() with the widest access that the number of elements allows.
template <typename Body>
void with_access(const OffsetQuantizerGeometry& of, Body body) {
  with_element(of.dtype, [&]<typename T>() {
    of.numel % kVectorWidth<T> == 0 ? body.template operator()<T, kVectorWidth<T>>() : body.template operator()<T, 1>();
  });
}

}  // namespace

std::size_t offset_quantizer_scratch_bytes(const OffsetQuantizerGeometry& of, const DeviceContext& /*on*/) {
  return std::size_t{2} * blocks_of(of) * sizeof(double);
}

void offset_quantizer_forward(const OffsetQuantizerForwardArgs& args, const DeviceContext& on) {
  with_access(args.geometry, [&]<typename T, int Width>() {
    launch(quantize<T, Width>, dim3(blocks_of(args.geometry)), dim3(kThreads), 0, on.stream, args);
  });
}

void offset_quantizer_backward(const OffsetQuantizerBackwardArgs& args, const DeviceContext& on) {
  with_access(args.geometry, [&]<typename T, int Width>() {
    launch(quantize_backward<T, Width>, dim3(blocks_of(args.geometry)), dim3(kThreads), 0, on.stream, args, on.memory);
  });
}

}  // namespace bsq::cuda
