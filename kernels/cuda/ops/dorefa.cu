// Weights on DoReFa's grid, of all layers: the peaks of tanh, the weights that a convolution reads, and the SGD step,
// in which the last block of each tensor moves the weight that makes the peak.
//
// weights_from_dorefa is two kernels, for a weight's level depends on the largest of its tensor: 12 bytes per weight,
// 10 if it writes bf16. dorefa_step moves 20: it reads v, its momentum and dW, and writes v and momentum.
#include "kernels/cuda/device/weight_chunks.cuh"
#include "kernels/dorefa_tanh.h"

namespace bsq::cuda {
namespace {

__device__ float horner(float power, float square, float coefficient) {
  return __fadd_rn(__fmul_rn(power, square), coefficient);
}

/// dorefa_tanh(), whatever the compiler is allowed.
__device__ float tanh_of(float x) {
  constexpr float numerator[] = {kTanhNumerator[0], kTanhNumerator[1], kTanhNumerator[2],
                                 kTanhNumerator[3], kTanhNumerator[4], kTanhNumerator[5]};
  constexpr float denominator[] = {kTanhDenominator[0], kTanhDenominator[1], kTanhDenominator[2], kTanhDenominator[3],
                                   kTanhDenominator[4]};
  const float bounded = clamped(x, -kTanhLimit, kTanhLimit);
  const float square = __fmul_rn(bounded, bounded);
  float above = 0;
  float below = 0;
#pragma unroll
  for (const float coefficient : numerator) above = horner(above, square, coefficient);
#pragma unroll
  for (const float coefficient : denominator) below = horner(below, square, coefficient);
  return clamped(__fdiv_rn(__fmul_rn(bounded, above), below), -1.0F, 1.0F);
}

__device__ float divisor(const DorefaPeak& peak) {
  return peak.height > 0 ? peak.height : 1.0F;
}

// A peak as one number: of two the larger is that of the higher peak, and of the first place of two that are as high.
using PackedPeak = unsigned long long;

__device__ PackedPeak pack(float height, std::int64_t index) {
  const unsigned bits = height > 0 ? __float_as_uint(height) : 0U;  // a NaN is none
  return (static_cast<PackedPeak>(bits) << 32) | (0xFFFFFFFFU - static_cast<unsigned>(index));
}

__device__ DorefaPeak unpacked(PackedPeak packed) {
  const float height = __uint_as_float(static_cast<unsigned>(packed >> 32));
  if (height == 0) return {};
  return {height, static_cast<std::int32_t>(0xFFFFFFFFU - static_cast<unsigned>(packed & 0xFFFFFFFFU))};
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void find_peaks(DorefaForwardArgs args, int num_tensors, PackedPeak* partials, GridMemory memory) {
  wait_for_previous();
  BSQ_SHARED(PackedPeak, shared, [kChunkWarps]);
  const Chunk chunk(args.tensors.device, num_tensors);
  const DorefaTensor tensor = args.tensors.device[chunk.tensor];
  PackedPeak highest = 0;
  for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
    float value[Width];
    load<Width>(args.v + tensor.weight_offset + index, value);
    for (int i = 0; i < Width; ++i) highest = Largest()(highest, pack(fabsf(tanh_of(value[i])), index + i));
  });
  highest = reduce_block(highest, shared, Largest());
  const auto index = static_cast<unsigned>(blockIdx.x - chunk.first);
  if (combine_blocks(highest, index, static_cast<unsigned>(chunk.count), partials + chunk.first,
                     memory.counters + chunk.tensor, Largest()) &&
      threadIdx.x == 0)
    args.peaks[chunk.tensor] = unpacked(highest);
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void place_weights(DorefaForwardArgs args, int num_tensors) {
  wait_for_previous();
  const Chunk chunk(args.tensors.device, num_tensors);
  const DorefaTensor tensor = args.tensors.device[chunk.tensor];
  const auto levels = static_cast<float>((1 << tensor.bits) - 1);
  const float height = divisor(args.peaks[chunk.tensor]);
  if (tensor.storage != WeightStorage::values && chunk.begin == 0 && threadIdx.x == 0)
    args.weight_units[chunk.tensor] = __fdiv_rn(tensor.scale, levels);
  for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
    float value[Width];
    load<Width>(args.v + tensor.weight_offset + index, value);
    for (int i = 0; i < Width; ++i) {
      const float ratio = __fdiv_rn(tanh_of(value[i]), height);
      value[i] = 2.0F * rintf(__fmul_rn(__fadd_rn(ratio * 0.5F, 0.5F), levels)) - levels;
    }
    store_weights<Width>(tensor, args.weights, index, value, tensor.scale, levels);
  });
}

/// What a step needs of a tensor.
struct TensorStep {
  DorefaTensor tensor;
  DorefaPeak peak;
  SgdRule rule;
  float to_ratio = 0;  // s / T of a gradient as it is stored

  __device__ TensorStep(const DorefaStepArgs& args, int index)
      : tensor(args.tensors.device[index]), peak(args.peaks[index]), rule(rule_for(args.rule, tensor.decays)) {
    const auto levels = static_cast<float>((1 << tensor.bits) - 1);
    to_ratio = GradientFactors(tensor.storage, tensor.scale, levels).to_u / divisor(peak);
  }
  __device__ bool is_peak(std::int64_t index) const { return peak.height > 0 && index == peak.index; }
  __device__ float moved(float value, float h, float d_weight, float learning_rate, float& velocity) const {
    const float gradient = to_ratio * d_weight * (1.0F - h * h);
    return sgd_moved(value, fmaf(rule.weight_decay, value, gradient), rule, learning_rate, velocity);
  }
};

/// Steps Width weights by their own gradients, but not the one of the peak; returns what they add to sum(dW h).
template <int Width>
__device__ float step_weights(const DorefaStepArgs& args, const TensorStep& step, std::int64_t index) {
  const std::int64_t at = step.tensor.weight_offset + index;
  float value[Width];
  float d_weight[Width];
  float velocity[Width];
  load<Width>(args.v + at, value);
  load<Width>(args.d_weights + at, d_weight);
  load<Width>(args.momentum + at, velocity);
  float sum = 0;
  for (int i = 0; i < Width; ++i) {
    const float h = tanh_of(value[i]);
    sum = fmaf(d_weight[i], h, sum);
    if (!step.is_peak(index + i))
      value[i] = step.moved(value[i], h, d_weight[i], args.inputs->learning_rate, velocity[i]);
  }
  store<Width>(args.momentum + at, velocity);
  store<Width>(args.v + at, value);
  return sum;
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void step_dorefa(DorefaStepArgs args, int num_tensors, float* partials, GridMemory memory) {
  wait_for_previous();
  BSQ_SHARED(float, shared, [kChunkWarps]);
  const Chunk chunk(args.tensors.device, num_tensors);
  const TensorStep step(args, chunk.tensor);
  float sum = 0;
  for_chunk(chunk, step.tensor, [&]<int Width>(std::int64_t index) { sum += step_weights<Width>(args, step, index); });
  sum = reduce_block(sum, shared, Sum());
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
  if (!arrives_last(memory.counters + chunk.tensor, static_cast<unsigned>(chunk.count))) return;
  if (threadIdx.x >= kWarp) return;
  const double of_all = sum_of_chunks(partials + chunk.first, chunk.count, 1);
  if (threadIdx.x != 0 || !(step.peak.height > 0)) return;
  const std::int64_t at = step.tensor.weight_offset + step.peak.index;
  const float h = tanh_of(args.v[at]);
  const double of_peak = (h < 0 ? -of_all : of_all) / static_cast<double>(divisor(step.peak));
  const auto d_weight = static_cast<float>(static_cast<double>(args.d_weights[at]) - of_peak);
  args.v[at] = step.moved(args.v[at], h, d_weight, args.inputs->learning_rate, args.momentum[at]);
}

}  // namespace

std::size_t dorefa_scratch_bytes(const DeviceTable<DorefaTensor>& tensors, const DeviceContext& /*on*/) {
  check_tensors(tensors.host);
  return static_cast<std::size_t>(total_chunks(tensors.host)) * sizeof(PackedPeak);
}

void weights_from_dorefa(const DorefaForwardArgs& args, const DeviceContext& on) {
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  const int num_tensors = static_cast<int>(args.tensors.host.size());
  launch(find_peaks, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args, num_tensors,
         static_cast<PackedPeak*>(args.scratch), on.memory);
  launch(place_weights, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args, num_tensors);
}

void dorefa_step(const DorefaStepArgs& args, const DeviceContext& on) {
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  launch(step_dorefa, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args, static_cast<int>(args.tensors.host.size()),
         static_cast<float*>(args.scratch), on.memory);
}

}  // namespace bsq::cuda
