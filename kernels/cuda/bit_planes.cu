// Bit planes of all layers in two launches a direction: effective weights and plane norms, and the whole SGD step.
//
// weights_from_planes reads every plane once and writes the weights: 8 n + e bytes a weight of n bits, e = 4 or 2.
// planes_step reads planes, their momentum and dW, writes planes and momentum: (8 n + 1) 4 bytes a weight.
// Each launch is followed by a small one that adds up the chunks' partial sums in order.
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/scale_step.cuh"
#include "kernels/cuda/weight_chunks.cuh"

namespace bsq::cuda {
namespace {

constexpr int kChunkWarps = kChunkThreads / kWarp;
constexpr float kNormEpsilon = 1e-8F;  // under the root of the group penalty
constexpr int kNormThreads = 512;      // one warp per plane at a time

template <int Bits, int Width>
__device__ void reconstruct(const PlanesForwardArgs& args, const PlaneTensor& tensor, float scale, std::int64_t index,
                            float (&squares)[Bits]) {
  constexpr auto levels = static_cast<float>((1 << Bits) - 1);
  const float* p = args.planes + tensor.plane_offset + index;
  const float* n = p + Bits * tensor.numel;
  float scaled[Width] = {};
#pragma unroll
  for (int bit = 0; bit < Bits; ++bit) {
    float positive[Width];
    float negative[Width];
    load<Width>(p + bit * tensor.numel, positive);
    load<Width>(n + bit * tensor.numel, negative);
    for (int i = 0; i < Width; ++i) {
      scaled[i] += (positive[i] - negative[i]) * static_cast<float>(1 << (Bits - 1 - bit));
      squares[bit] = fmaf(positive[i], positive[i], fmaf(negative[i], negative[i], squares[bit]));
    }
  }
  for (int i = 0; i < Width; ++i) scaled[i] = level_of(scaled[i], levels);
  store_weights<Width>(tensor, args.weights, index, scaled, scale, levels);
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void reconstruct_weights(PlanesForwardArgs args, float* partials) {
  BSQ_SHARED(float, shared, [kMaxBits][kChunkWarps]);
  const Chunk chunk(args.tensors.device, blockIdx.x);
  const PlaneTensor tensor = args.tensors.device[chunk.tensor];
  const float scale = args.scales[chunk.tensor];
  if (tensor.storage != WeightStorage::values && chunk.begin == 0 && threadIdx.x == 0)
    args.weight_units[chunk.tensor] = scale / static_cast<float>((1 << tensor.bits) - 1);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  dispatch_bits(tensor.bits, [&]<int Bits>() {
    float squares[Bits] = {};
    for_chunk(chunk, tensor,
              [&]<int Width>(std::int64_t index) { reconstruct<Bits, Width>(args, tensor, scale, index, squares); });
#pragma unroll
    for (int bit = 0; bit < Bits; ++bit) {
      const float sum = reduce_warp(squares[bit], Sum());
      if (threadIdx.x % kWarp == 0) shared[bit][warp] = sum;
    }
  });
  __syncthreads();
  if (static_cast<int>(threadIdx.x) >= tensor.bits) return;
  float sum = 0;
  for (int other = 0; other < kChunkWarps; ++other) sum += shared[threadIdx.x][other];
  partials[std::int64_t{blockIdx.x} * kMaxBits + threadIdx.x] = sum;
}

// grid 1, block kNormThreads, one warp per plane at a time
__global__ void finish_norms(PlanesForwardArgs args, int num_tensors, const float* partials) {
  BSQ_SHARED(double, shared, [kNormThreads / kWarp]);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  double penalty = 0;  // of this warp's planes, the same in all its lanes
  int plane = 0;
  for (int t = 0; t < num_tensors; ++t) {
    const PlaneTensor& tensor = args.tensors.device[t];
    const std::int64_t chunks = chunks_of(tensor.numel);
    for (int bit = 0; bit < tensor.bits; ++bit, ++plane) {
      if (plane % (kNormThreads / kWarp) != warp) continue;
      const double norm = sqrt(static_cast<double>(kNormEpsilon) + sum_of_chunks(partials + bit, chunks, kMaxBits));
      if (threadIdx.x % kWarp == 0) args.plane_norms[tensor.first_plane + bit] = static_cast<float>(norm);
      penalty += tensor.penalty_weight * norm;
    }
    partials += chunks * kMaxBits;
  }
  if (threadIdx.x % kWarp == 0) shared[warp] = penalty;
  __syncthreads();
  if (threadIdx.x != 0 || args.metrics == nullptr) return;
  double total = 0;
  for (int other = 0; other < kNormThreads / kWarp; ++other) total += shared[other];
  args.metrics[args.inputs->metrics_slot].penalty = total;
}

/// What the step of one tensor needs besides its planes.
struct StepFactors {
  float to_scaled;  // of a stored gradient: gives dL / d(u levels)
  float momentum;
  float learning_rate;
};

/// Both planes of a bit, for Width weights.
template <int Width>
__device__ void step_plane(float* planes, float* momentum, const float (&old_plane)[Width], const float (&slope)[Width],
                           float pull, const StepFactors& factors) {
  float velocity[Width];
  float moved[Width];
  load<Width>(momentum, velocity);
  for (int i = 0; i < Width; ++i)
    moved[i] = clamped(sgd_moved(old_plane[i], fmaf(pull, old_plane[i], slope[i]), factors.momentum,
                                 factors.learning_rate, velocity[i]),
                       0.0F, 2.0F);
  store<Width>(momentum, velocity);
  store<Width>(planes, moved);
}

/// Returns q times the stored gradient, summed over the Width weights.
template <int Bits, int Width>
__device__ float step_weights(const PlanesStepArgs& args, const PlaneTensor& tensor, const StepFactors& factors,
                              std::int64_t index) {
  constexpr auto levels = static_cast<float>((1 << Bits) - 1);
  const std::int64_t p_at = tensor.plane_offset + index;
  const std::int64_t n_at = p_at + Bits * tensor.numel;
  float d_weight[Width];
  load<Width>(args.d_weights + tensor.weight_offset + index, d_weight);
  float scaled[Width] = {};
#pragma unroll
  for (int bit = 0; bit < Bits; ++bit) {
    const std::int64_t offset = bit * tensor.numel;
    const auto weight = static_cast<float>(1 << (Bits - 1 - bit));
    // Gradient of penalty and decay, per unit of x.
    const float pull =
        args.alpha * tensor.penalty_weight / args.plane_norms[tensor.first_plane + bit] + args.rule.weight_decay;
    float positive[Width];
    float negative[Width];
    float slope[Width];
    load<Width>(args.planes + p_at + offset, positive);
    load<Width>(args.planes + n_at + offset, negative);
    for (int i = 0; i < Width; ++i) {
      scaled[i] += (positive[i] - negative[i]) * weight;
      slope[i] = d_weight[i] * factors.to_scaled * weight;
    }
    step_plane<Width>(args.planes + p_at + offset, args.plane_momentum + p_at + offset, positive, slope, pull, factors);
    for (int i = 0; i < Width; ++i) slope[i] = -slope[i];
    step_plane<Width>(args.planes + n_at + offset, args.plane_momentum + n_at + offset, negative, slope, pull, factors);
  }
  float sum = 0;
  for (int i = 0; i < Width; ++i) sum = fmaf(level_of(scaled[i], levels) / levels, d_weight[i], sum);
  return sum;
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void step_planes(PlanesStepArgs args, float* partials) {
  BSQ_SHARED(float, shared, [kChunkWarps]);
  const Chunk chunk(args.tensors.device, blockIdx.x);
  const PlaneTensor tensor = args.tensors.device[chunk.tensor];
  const auto levels = static_cast<float>((1 << tensor.bits) - 1);
  const GradientFactors gradient(tensor.storage, args.scales[chunk.tensor], levels);
  const StepFactors factors{gradient.to_u / levels, args.rule.momentum, args.inputs->learning_rate};
  float d_scale = 0;
  dispatch_bits(tensor.bits, [&]<int Bits>() {
    for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
      d_scale += step_weights<Bits, Width>(args, tensor, factors, index);
    });
  });
  d_scale = reduce_block(d_scale, shared, Sum());
  if (threadIdx.x == 0) partials[blockIdx.x] = d_scale * gradient.to_true;
}

}  // namespace

std::size_t planes_scratch_bytes(std::span<const PlaneTensor> tensors) {
  return static_cast<std::size_t>(total_chunks(tensors)) * kMaxBits * sizeof(float);
}

void weights_from_planes(const PlanesForwardArgs& args, cudaStream_t stream) {
  auto* partials = static_cast<float*>(args.scratch);
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  launch(reconstruct_weights, dim3(chunks), dim3(kChunkThreads), 0, stream, args, partials);
  launch(finish_norms, dim3(1), dim3(kNormThreads), 0, stream, args, static_cast<int>(args.tensors.host.size()),
         static_cast<const float*>(partials));
}

void planes_step(const PlanesStepArgs& args, cudaStream_t stream) {
  auto* partials = static_cast<float*>(args.scratch);
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  launch(step_planes, dim3(chunks), dim3(kChunkThreads), 0, stream, args, partials);
  step_scales(args.tensors, {args.rule, args.inputs, partials, args.scales, args.scale_momentum}, stream);
}

}  // namespace bsq::cuda
