// Weights whose planes and masks are gates, of all layers: the weights that a convolution reads and the bits of the
// masks, and the SGD step; the last block of each tensor moves its scale and its masks.
//
// weights_from_csq reads every plane once and writes the weights: 8 N + 4 bytes per weight of N planes. csq_step reads
// planes, their momentum and dW, and writes planes and momentum: 32 N + 4 bytes. Both take 2 N exponentials per weight.
#include "kernels/cuda/device/scale_step.cuh"
#include "kernels/cuda/device/weight_chunks.cuh"

namespace bsq::cuda {
namespace {

struct Gate {
  float value;
  float slope;  // by x
};

/// sigmoid(temperature x), by an exponential that never overflows.
__device__ Gate soft_gate(float x, float temperature) {
  const float scaled = temperature * x;
  const float small = expf(-fabsf(scaled));
  const float inverse = 1.0F / (1.0F + small);
  return {scaled < 0 ? small * inverse : inverse, temperature * small * inverse * inverse};
}

__device__ float hard_gate(float x) {
  return x > 0 ? 1.0F : 0.0F;
}

__device__ bool moves_masks(const CsqTensor& tensor, const CsqNumbers& numbers) {
  return tensor.masked && numbers.hardness == CsqHardness::none;
}

/// The mask of a bit; the slope of one that does not move is 0.
__device__ Gate mask_of(const CsqTensor& tensor, const float* masks, int bit, const CsqNumbers& numbers) {
  if (!tensor.masked) return {1.0F, 0.0F};
  const float m = masks[tensor.first_mask + bit];
  return moves_masks(tensor, numbers) ? soft_gate(m, numbers.temperature) : Gate{hard_gate(m), 0.0F};
}

/// c_b.
__device__ float plane_weight(const CsqTensor& tensor, int bit) {
  return static_cast<float>(1 << (tensor.bits - 1 - bit)) / static_cast<float>((1 << tensor.bits) - 1);
}

/// Called by all lanes of one warp: the sums over all masks, in an order that never changes.
__device__ void write_budget(const CsqForwardArgs& args, int num_tensors, const CsqNumbers& numbers) {
  double bits = 0;
  double pulled = 0;
  for (int t = static_cast<int>(threadIdx.x); t < num_tensors; t += kWarp) {
    const CsqTensor tensor = args.tensors.device[t];
    for (int bit = 0; bit < tensor.bits; ++bit) {
      const float m = tensor.masked ? args.masks[tensor.first_mask + bit] : 1.0F;
      if (m > 0 || (m == 0 && moves_masks(tensor, numbers))) bits += tensor.share;
      pulled += static_cast<double>(tensor.pull) * mask_of(tensor, args.masks, bit, numbers).value;
    }
  }
  bits = reduce_warp(bits, Sum());
  pulled = reduce_warp(pulled, Sum());
  if (threadIdx.x == 0) *args.budget = {bits, (bits - numbers.target) * pulled};
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void place_weights(CsqForwardArgs args, int num_tensors) {
  wait_for_previous();
  BSQ_SHARED(float, factors, [kMaxBits]);  // c_b M_b
  const CsqNumbers numbers = CsqNumbers::from(args.inputs->method);
  const Chunk chunk(args.tensors.device, num_tensors);
  const CsqTensor tensor = args.tensors.device[chunk.tensor];
  if (static_cast<int>(threadIdx.x) < tensor.bits) {
    const int bit = static_cast<int>(threadIdx.x);
    factors[bit] = plane_weight(tensor, bit) * mask_of(tensor, args.masks, bit, numbers).value;
  }
  __syncthreads();
  const float scale = args.scales[chunk.tensor];
  const bool is_hard = numbers.hardness == CsqHardness::all;
  for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
    const float* p = args.planes + tensor.plane_offset + index;
    const float* n = p + tensor.bits * tensor.numel;
    float weight[Width] = {};
    for (int bit = 0; bit < tensor.bits; ++bit) {
      float positive[Width];
      float negative[Width];
      load<Width>(p + bit * tensor.numel, positive);
      load<Width>(n + bit * tensor.numel, negative);
      for (int i = 0; i < Width; ++i) {
        const float difference = is_hard ? hard_gate(positive[i]) - hard_gate(negative[i])
                                         : soft_gate(positive[i], numbers.temperature).value -
                                               soft_gate(negative[i], numbers.temperature).value;
        weight[i] = fmaf(factors[bit], difference, weight[i]);
      }
    }
    for (int i = 0; i < Width; ++i) weight[i] *= scale;
    store<Width>(args.weights + tensor.weight_offset + index, weight);
  });
  if (blockIdx.x == 0 && threadIdx.x < kWarp) write_budget(args, num_tensors, numbers);
}

/// Steps one plane of a bit for Width weights, whose gates have these slopes; `to_gate`: by the values of the gates.
template <int Width>
__device__ void step_plane(const SgdRule& rule, float learning_rate, float* planes, float* momentum,
                           float (&plane)[Width], const float (&slope)[Width], const float (&to_gate)[Width]) {
  float velocity[Width];
  load<Width>(momentum, velocity);
  for (int i = 0; i < Width; ++i)
    plane[i] =
        sgd_moved(plane[i], fmaf(rule.weight_decay, plane[i], to_gate[i] * slope[i]), rule, learning_rate, velocity[i]);
  store<Width>(momentum, velocity);
  store<Width>(planes, plane);
}

/// Steps all planes of Width weights and adds their part of S_b to sums[b]. factors[b]: s c_b M_b.
template <int Bits, int Width>
__device__ void step_weights(const CsqStepArgs& args, const CsqTensor& tensor, const CsqNumbers& numbers,
                             const float* factors, std::int64_t index, float (&sums)[Bits]) {
  const SgdRule rule = rule_for(args.rule, tensor.decay.weights);
  const float learning_rate = args.inputs->learning_rate;
  float d_weight[Width];
  load<Width>(args.d_weights + tensor.weight_offset + index, d_weight);
#pragma unroll
  for (int bit = 0; bit < Bits; ++bit) {
    const std::int64_t p_at = tensor.plane_offset + bit * tensor.numel + index;
    const std::int64_t n_at = p_at + Bits * tensor.numel;
    float positive[Width];
    float negative[Width];
    float p_slope[Width];
    float n_slope[Width];
    float to_gate[Width];
    load<Width>(args.planes + p_at, positive);
    load<Width>(args.planes + n_at, negative);
    for (int i = 0; i < Width; ++i) {
      const Gate p = soft_gate(positive[i], numbers.temperature);
      const Gate n = soft_gate(negative[i], numbers.temperature);
      p_slope[i] = p.slope;
      n_slope[i] = n.slope;
      to_gate[i] = factors[bit] * d_weight[i];
      sums[bit] = fmaf(p.value - n.value, d_weight[i], sums[bit]);
    }
    step_plane<Width>(rule, learning_rate, args.planes + p_at, args.plane_momentum + p_at, positive, p_slope, to_gate);
    for (int i = 0; i < Width; ++i) to_gate[i] = -to_gate[i];
    step_plane<Width>(rule, learning_rate, args.planes + n_at, args.plane_momentum + n_at, negative, n_slope, to_gate);
  }
}

__device__ void step_number(const SgdRule& rule, float learning_rate, double gradient, float& number, float& velocity) {
  number =
      sgd_moved(number, fmaf(rule.weight_decay, number, static_cast<float>(gradient)), rule, learning_rate, velocity);
}

/// Called by the last block of a tensor, when all its planes have moved: moves its masks and its scale.
__device__ void finish_step(const CsqStepArgs& args, const CsqTensor& tensor, const Chunk& chunk,
                            const CsqNumbers& numbers, const float* partials) {
  BSQ_SHARED(double, sums, [kMaxBits]);  // c_b S_b
  for (int bit = static_cast<int>(threadIdx.x) / kWarp; bit < tensor.bits; bit += kChunkWarps) {
    const double sum = sum_of_chunks(partials + chunk.first * kMaxBits + bit, chunk.count, kMaxBits);
    if (threadIdx.x % kWarp == 0) sums[bit] = plane_weight(tensor, bit) * sum;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  const float learning_rate = args.inputs->learning_rate;
  const double scale = args.scales[chunk.tensor];
  const double excess = numbers.strength * (args.budget->bits - numbers.target) * tensor.pull;
  double d_scale = 0;
  for (int bit = 0; bit < tensor.bits; ++bit) {
    const Gate mask = mask_of(tensor, args.masks, bit, numbers);
    d_scale += mask.value * sums[bit];
    if (!moves_masks(tensor, numbers)) continue;
    const std::int32_t at = tensor.first_mask + bit;
    step_number(rule_for(args.rule, tensor.decay.weights), learning_rate, (scale * sums[bit] + excess) * mask.slope,
                args.masks[at], args.mask_momentum[at]);
  }
  step_number(rule_for(args.rule, tensor.decay.scale), learning_rate, d_scale, args.scales[chunk.tensor],
              args.scale_momentum[chunk.tensor]);
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void step_csq(CsqStepArgs args, int num_tensors, float* partials, GridMemory memory) {
  wait_for_previous();
  BSQ_SHARED(float, factors, [kMaxBits]);  // s c_b M_b
  const CsqNumbers numbers = CsqNumbers::from(args.inputs->method);
  const Chunk chunk(args.tensors.device, num_tensors);
  const CsqTensor tensor = args.tensors.device[chunk.tensor];
  if (static_cast<int>(threadIdx.x) < tensor.bits) {
    const int bit = static_cast<int>(threadIdx.x);
    factors[bit] =
        args.scales[chunk.tensor] * plane_weight(tensor, bit) * mask_of(tensor, args.masks, bit, numbers).value;
  }
  __syncthreads();
  if (blockIdx.x == 0 && threadIdx.x == 0 && args.metrics != nullptr)
    args.metrics[args.inputs->metrics_slot].penalty = args.budget->loss;
  dispatch_bits(tensor.bits, [&]<int Bits>() {
    float sums[Bits] = {};
    for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
      step_weights<Bits, Width>(args, tensor, numbers, factors, index, sums);
    });
    leave_sums(sums, partials);
  });
  if (arrives_last(memory.counters + chunk.tensor, static_cast<unsigned>(chunk.count)))
    finish_step(args, tensor, chunk, numbers, partials);
}

}  // namespace

std::size_t csq_scratch_bytes(const DeviceTable<CsqTensor>& tensors, const DeviceContext& /*on*/) {
  check_tensors(tensors.host);
  return static_cast<std::size_t>(total_chunks(tensors.host)) * kMaxBits * sizeof(float);
}

void weights_from_csq(const CsqForwardArgs& args, const DeviceContext& on) {
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  launch(place_weights, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args,
         static_cast<int>(args.tensors.host.size()));
}

void csq_step(const CsqStepArgs& args, const DeviceContext& on) {
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  launch(step_csq, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args, static_cast<int>(args.tensors.host.size()),
         static_cast<float*>(args.scratch), on.memory);
}

}  // namespace bsq::cuda
