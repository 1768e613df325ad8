// Weights on a grid whose step is trained, of all layers: the weights that a convolution reads, and the SGD step; the
// last block of each tensor moves its steps.
//
// weights_from_lsq moves 8 bytes per weight, 6 if it writes bf16; lsq_step moves 20: it reads w, its momentum and dW,
// and writes w and momentum.
#include "kernels/cuda/device/scale_step.cuh"
#include "kernels/cuda/device/weight_chunks.cuh"

namespace bsq::cuda {
namespace {

/// A weight on the grid of its tensor, before and after rounding.
struct Placed {
  float quotient;  // w / s
  float level;
  bool inside;
};

/// Rounds the quotient to nearest, whatever the compiler is allowed.
__device__ Placed placed_on(float w, float step, float low, float high) {
  const float quotient = __fdiv_rn(w, step);
  return {quotient, rintf(clamped(quotient, low, high)), low <= quotient && quotient <= high};
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void place_weights(LsqForwardArgs args, int num_tensors) {
  wait_for_previous();
  const Chunk chunk(args.tensors.device, num_tensors);
  const LsqTensor tensor = args.tensors.device[chunk.tensor];
  const auto low = static_cast<float>(tensor.low);
  const auto high = static_cast<float>(tensor.high);
  const float step = args.steps[tensor.first_step + chunk.row];
  if (tensor.storage != WeightStorage::values && tensor.rows == 1 && chunk.begin == 0 && threadIdx.x == 0)
    args.weight_units[chunk.tensor] = step;
  for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
    float value[Width];
    load<Width>(args.w + tensor.weight_offset + index, value);
    for (int i = 0; i < Width; ++i) value[i] = tensor.high == 0 ? 0.0F : placed_on(value[i], step, low, high).level;
    store_weights<Width>(tensor, args.weights, index, value, step, 1.0F);
  });
}

/// Sums over weights.
struct StepSums {
  float d_step = 0;    // what a step moves each, times its stored gradient
  float rounding = 0;  // (w - W) / step times its stored gradient; 0 if nobody asks
};

/// Adds what Width weights have to the sums. `to_true`: the factor that makes the stored gradient dW.
template <int Width, bool Measures>
__device__ void step_weights(const LsqStepArgs& args, const LsqTensor& tensor, float step, float to_true,
                             std::int64_t at, StepSums& sums) {
  const auto low = static_cast<float>(tensor.low);
  const auto high = static_cast<float>(tensor.high);
  float value[Width];
  float d_weight[Width];
  float velocity[Width];
  load<Width>(args.w + at, value);
  load<Width>(args.d_weights + at, d_weight);
  load<Width>(args.w_momentum + at, velocity);
  const SgdRule rule = rule_for(args.rule, tensor.decays);
  float sum = 0;
  for (int i = 0; i < Width; ++i) {
    const Placed placed = placed_on(value[i], step, low, high);
    if constexpr (Measures) sums.rounding = fmaf(placed.quotient - placed.level, d_weight[i], sums.rounding);
    sum = fmaf(placed.inside ? placed.level - placed.quotient : placed.level, d_weight[i], sum);
    const float decay = rule.weight_decay * value[i];
    const float gradient = placed.inside ? fmaf(to_true, d_weight[i], decay) : decay;
    value[i] = sgd_moved(value[i], gradient, rule, args.inputs->learning_rate, velocity[i]);
  }
  store<Width>(args.w_momentum + at, velocity);
  store<Width>(args.w + at, value);
  sums.d_step += sum;
}

/// Moves the step of a row by the sum of its gradient's parts.
__device__ void move_step(const LsqStepArgs& args, double d_step, std::int64_t at) {
  const ScaleStep scale_step{rule_for(args.rule, false), args.inputs, nullptr, args.steps, args.step_momentum};
  if (scale_step.move(static_cast<float>(d_step), at) < kSmallestStep) args.steps[at] = kSmallestStep;  // a NaN stays
}

__device__ void add_sensitivity(const LsqStepArgs& args, const LsqTensor& tensor, double rounding, int at) {
  args.sensitivities[at] += static_cast<float>(rounding / static_cast<double>(tensor.numel));
}

/// By the last block of a tensor of one row, from what its chunks have left.
template <bool Measures>
__device__ void finish_one_row(const LsqStepArgs& args, const LsqTensor& tensor, const Chunk& chunk,
                               const float* partials, const float* roundings) {
  if (threadIdx.x >= kWarp) return;
  if constexpr (Measures) {
    const double sum = sum_of_chunks(roundings, chunk.count, 1);
    if (threadIdx.x == 0) add_sensitivity(args, tensor, fabs(sum), chunk.tensor);
  }
  const double d_step = sum_of_chunks(partials, chunk.count, 1);
  if (threadIdx.x == 0) move_step(args, d_step, tensor.first_step);
}

/// Of several rows: each thread takes some, which have few chunks each.
template <bool Measures>
__device__ void finish_rows(const LsqStepArgs& args, const LsqTensor& tensor, const Chunk& chunk, const float* partials,
                            const float* roundings) {
  const std::int64_t chunks = chunk.count / tensor.rows;
  double of_rows = 0;
  for (std::int64_t row = threadIdx.x; row < tensor.rows; row += kChunkThreads) {
    double d_step = 0, rounding = 0;
    for (std::int64_t at = row * chunks; at < (row + 1) * chunks; ++at) {
      d_step += partials[at];
      if constexpr (Measures) rounding += roundings[at];
    }
    move_step(args, d_step, tensor.first_step + row);
    of_rows += fabs(rounding);
  }
  if constexpr (Measures) {
    BSQ_SHARED(double, shared, [kChunkWarps]);
    const double rounding = reduce_block(of_rows, shared, Sum());
    if (threadIdx.x == 0) add_sensitivity(args, tensor, rounding, chunk.tensor);
  }
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
template <bool Measures>
__global__ void step_lsq(LsqStepArgs args, int num_tensors, float* partials, GridMemory memory) {
  wait_for_previous();
  BSQ_SHARED(float, shared, [kChunkWarps]);
  const Chunk chunk(args.tensors.device, num_tensors);
  const LsqTensor tensor = args.tensors.device[chunk.tensor];
  if (tensor.high == 0) return;  // the whole block returns: nothing of this tensor moves
  const float step = args.steps[tensor.first_step + chunk.row];
  const float to_true = GradientFactors(tensor.storage, step, 1.0F).to_true;
  StepSums sums;
  for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
    step_weights<Width, Measures>(args, tensor, step, to_true, tensor.weight_offset + index, sums);
  });
  const float d_step = reduce_block(sums.d_step, shared, Sum());
  if (threadIdx.x == 0) partials[blockIdx.x] = d_step * to_true * tensor.grad_scale;
  float* roundings = partials + gridDim.x;
  if constexpr (Measures) {
    BSQ_SHARED(float, shared_roundings, [kChunkWarps]);
    const float rounding = reduce_block(sums.rounding, shared_roundings, Sum());
    if (threadIdx.x == 0) roundings[blockIdx.x] = rounding * to_true * step;
  }
  if (!arrives_last(memory.counters + chunk.tensor, static_cast<unsigned>(chunk.count))) return;
  if (tensor.rows == 1)
    finish_one_row<Measures>(args, tensor, chunk, partials + chunk.first, roundings + chunk.first);
  else
    finish_rows<Measures>(args, tensor, chunk, partials + chunk.first, roundings + chunk.first);
}

}  // namespace

std::size_t lsq_scratch_bytes(const DeviceTable<LsqTensor>& tensors, const DeviceContext& /*on*/) {
  check_tensors(tensors.host);
  return 2 * static_cast<std::size_t>(total_chunks(tensors.host)) * sizeof(float);
}

void weights_from_lsq(const LsqForwardArgs& args, const DeviceContext& on) {
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  launch(place_weights, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args,
         static_cast<int>(args.tensors.host.size()));
}

void lsq_step(const LsqStepArgs& args, const DeviceContext& on) {
  const auto chunks = static_cast<unsigned>(total_chunks(args.tensors.host));
  const auto kernel = args.sensitivities == nullptr ? step_lsq<false> : step_lsq<true>;
  launch(kernel, dim3(chunks), dim3(kChunkThreads), 0, on.stream, args, static_cast<int>(args.tensors.host.size()),
         static_cast<float*>(args.scratch), on.memory);
}

}  // namespace bsq::cuda
