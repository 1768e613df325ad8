// Weights whose last bit a penalty empties, of all layers: the weights that a convolution reads, and the SGD step of u;
// the last block of each tensor moves its scale.
//
// weights_from_msq moves 8 bytes per weight, 6 if it writes bf16; msq_step moves 20: it reads u, its momentum and dW,
// and writes u and momentum.
#include "kernels/cuda/device/scale_step.cuh"
#include "kernels/cuda/device/weight_chunks.cuh"

namespace bsq::cuda {
namespace {

/// k of n bits; parts = 2^n. With parts = 1 it is 0.
__device__ float halved_level(float u, float parts) {
  return clamped(rintf(u * parts), 1 - parts, parts - 1);
}

__device__ float parts_of(const MsqTensor& tensor) {
  return static_cast<float>(1 << tensor.bits);
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void place_weights(MsqForwardArgs args, int num_tensors) {
  wait_for_previous();
  const Chunk chunk(args.tensors.device, num_tensors);
  const MsqTensor tensor = args.tensors.device[chunk.tensor];
  const float parts = parts_of(tensor);
  const float scale = args.scales[chunk.tensor];
  if (tensor.storage != WeightStorage::values && chunk.begin == 0 && threadIdx.x == 0)
    args.weight_units[chunk.tensor] = scale / parts;
  for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
    float value[Width];
    load<Width>(args.u + tensor.weight_offset + index, value);
    for (int i = 0; i < Width; ++i) value[i] = tensor.bits == 0 ? 0.0F : halved_level(value[i], parts);
    store_weights<Width>(tensor, args.weights, index, value, scale, parts);
  });
}

/// What a tensor's step needs beside its weights.
struct TensorStep {
  float parts;  // 2^n
  float pull;   // of the penalty
  float to_u;   // makes the stored gradient dL / du
  SgdRule rule;
  float learning_rate;
};

/// Steps Width weights; returns k / 2^n times the stored gradient, summed over them.
template <int Width>
__device__ float step_weights(const MsqStepArgs& args, const TensorStep& step, std::int64_t at) {
  float value[Width];
  float d_weight[Width];
  float velocity[Width];
  load<Width>(args.u + at, value);
  load<Width>(args.d_weights + at, d_weight);
  load<Width>(args.u_momentum + at, velocity);
  float sum = 0;
  for (int i = 0; i < Width; ++i) {
    const float level = halved_level(value[i], step.parts);
    const float last_bit = level - 2.0F * halved_level(value[i], 0.5F * step.parts);
    const float pull = last_bit > 0 ? step.pull : last_bit < 0 ? -step.pull : 0.0F;
    sum = fmaf(level / step.parts, d_weight[i], sum);
    const float gradient = fmaf(step.to_u, d_weight[i], fmaf(step.rule.weight_decay, value[i], pull));
    value[i] = clamped(sgd_moved(value[i], gradient, step.rule, step.learning_rate, velocity[i]), -1.0F, 1.0F);
  }
  store<Width>(args.u_momentum + at, velocity);
  store<Width>(args.u + at, value);
  return sum;
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void step_msq(MsqStepArgs args, int num_tensors, float* partials, GridMemory memory) {
  wait_for_previous();
  BSQ_SHARED(float, shared, [kChunkWarps]);
  const Chunk chunk(args.tensors.device, num_tensors);
  const MsqTensor tensor = args.tensors.device[chunk.tensor];
  if (tensor.bits == 0) return;  // the whole block returns: nothing of this tensor moves
  const float parts = parts_of(tensor);
  const GradientFactors factors(tensor.storage, args.scales[chunk.tensor], parts);
  const TensorStep step{parts, args.inputs->method[0] * tensor.pull, factors.to_u,
                        rule_for(args.rule, tensor.decay.weights), args.inputs->learning_rate};
  float d_scale = 0;
  for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
    d_scale += step_weights<Width>(args, step, tensor.weight_offset + index);
  });
  d_scale = reduce_block(d_scale, shared, Sum());
  if (threadIdx.x == 0) partials[blockIdx.x] = d_scale * factors.to_true;
  if (!arrives_last(memory.counters + chunk.tensor, static_cast<unsigned>(chunk.count))) return;
  if (threadIdx.x >= kWarp) return;
  const ScaleStep scale_step{rule_for(args.rule, tensor.decay.scale), args.inputs, partials, args.scales,
                             args.scale_momentum};
  const float moved = scale_step.run(chunk);
  if (threadIdx.x == 0 && moved < kSmallestMsqScale) args.scales[chunk.tensor] = kSmallestMsqScale;  // a NaN stays one
}

}  // namespace

std::size_t msq_scratch_bytes(const DeviceTable<MsqTensor>& tensors, const DeviceContext& /*on*/) {
  check_tensors(tensors.host);
  return static_cast<std::size_t>(total_chunks(tensors.host)) * sizeof(float);
}

void weights_from_msq(const MsqForwardArgs& args, const DeviceContext& on) {
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  launch(place_weights, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args,
         static_cast<int>(args.tensors.host.size()));
}

void msq_step(const MsqStepArgs& args, const DeviceContext& on) {
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  launch(step_msq, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args, static_cast<int>(args.tensors.host.size()),
         static_cast<float*>(args.scratch), on.memory);
}

}  // namespace bsq::cuda
