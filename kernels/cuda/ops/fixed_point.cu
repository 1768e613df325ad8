// Fixed-point weights of all layers: the weights that a convolution reads, and the SGD step of u; the last block of
// each tensor moves its scale.
//
// weights_from_fixed moves 8 bytes per weight, 6 if it writes bf16; fixed_step moves 20: it reads u, its momentum and
// dW, and writes u and momentum.
#include "kernels/cuda/device/scale_step.cuh"
#include "kernels/cuda/device/weight_chunks.cuh"

namespace bsq::cuda {
namespace {

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void round_weights(FixedForwardArgs args, int num_tensors) {
  wait_for_previous();
  const Chunk chunk(args.tensors.device, num_tensors);
  const FixedTensor tensor = args.tensors.device[chunk.tensor];
  const float levels = tensor.bits == 0 ? 1.0F : static_cast<float>((1 << tensor.bits) - 1);
  const float scale = args.scales[chunk.tensor];
  if (tensor.storage != WeightStorage::values && chunk.begin == 0 && threadIdx.x == 0)
    args.weight_units[chunk.tensor] = scale / levels;
  for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
    float value[Width];
    load<Width>(args.u + tensor.weight_offset + index, value);
    for (int i = 0; i < Width; ++i) value[i] = tensor.bits == 0 ? 0.0F : level_of(value[i] * levels, levels);
    store_weights<Width>(tensor, args.weights, index, value, scale, levels);
  });
}

/// Returns q times the stored gradient, summed over the Width weights. `to_u`: the factor that makes the stored
/// gradient dL / du.
template <int Width>
__device__ float step_weights(const FixedStepArgs& args, float to_u, float levels, const SgdRule& rule,
                              float learning_rate, std::int64_t at) {
  float value[Width];
  float d_weight[Width];
  float velocity[Width];
  load<Width>(args.u + at, value);
  load<Width>(args.d_weights + at, d_weight);
  load<Width>(args.u_momentum + at, velocity);
  float sum = 0;
  for (int i = 0; i < Width; ++i) {
    sum = fmaf(level_of(value[i] * levels, levels) / levels, d_weight[i], sum);
    const float gradient = fmaf(to_u, d_weight[i], rule.weight_decay * value[i]);
    value[i] = clamped(sgd_moved(value[i], gradient, rule, learning_rate, velocity[i]), -1.0F, 1.0F);
  }
  store<Width>(args.u_momentum + at, velocity);
  store<Width>(args.u + at, value);
  return sum;
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void step_fixed(FixedStepArgs args, int num_tensors, float* partials, GridMemory memory) {
  wait_for_previous();
  BSQ_SHARED(float, shared, [kChunkWarps]);
  const Chunk chunk(args.tensors.device, num_tensors);
  const FixedTensor tensor = args.tensors.device[chunk.tensor];
  if (tensor.bits == 0) return;  // the whole block returns: nothing of this tensor moves
  const auto levels = static_cast<float>((1 << tensor.bits) - 1);
  const GradientFactors factors(tensor.storage, args.scales[chunk.tensor], levels);
  const SgdRule weight_rule = rule_for(args.rule, tensor.decay.weights);
  float d_scale = 0;
  for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
    d_scale += step_weights<Width>(args, factors.to_u, levels, weight_rule, args.inputs->learning_rate,
                                   tensor.weight_offset + index);
  });
  d_scale = reduce_block(d_scale, shared, Sum());
  if (threadIdx.x == 0) partials[blockIdx.x] = d_scale * factors.to_true;
  if (!arrives_last(memory.counters + chunk.tensor, static_cast<unsigned>(chunk.count))) return;
  const ScaleStep scale_step{rule_for(args.rule, tensor.decay.scale), args.inputs, partials, args.scales,
                             args.scale_momentum};
  if (threadIdx.x < kWarp) scale_step.run(chunk);
}

}  // namespace

std::size_t fixed_scratch_bytes(const DeviceTable<FixedTensor>& tensors, const DeviceContext& /*on*/) {
  check_tensors(tensors.host);
  return static_cast<std::size_t>(total_chunks(tensors.host)) * sizeof(float);
}

void weights_from_fixed(const FixedForwardArgs& args, const DeviceContext& on) {
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  launch(round_weights, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args,
         static_cast<int>(args.tensors.host.size()));
}

void fixed_step(const FixedStepArgs& args, const DeviceContext& on) {
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  launch(step_fixed, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args, static_cast<int>(args.tensors.host.size()),
         static_cast<float*>(args.scratch), on.memory);
}

}  // namespace bsq::cuda
