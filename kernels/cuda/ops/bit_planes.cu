// Bit planes of all layers: effective weights and plane norms in one launch, and the whole SGD step, which leaves the
// weights and norms of the next one, in another.
//
// weights_from_planes reads every plane once and writes the weights: 8 n + e bytes per weight of n bits, e = 4 or 2.
// planes_step reads planes, their momentum and dW, writes planes, momentum and weights: (8 n + 1) 4 + e bytes per
// weight; tensors stored as values have to wait for their scale, and are written by a launch of their own. The last
// block of each tensor adds up the partial sums of its chunks in order; the last of these blocks adds up those of the
// tensors.
#include "kernels/cuda/device/scale_step.cuh"
#include "kernels/cuda/device/weight_chunks.cuh"

namespace bsq::cuda {
namespace {

constexpr float kNormEpsilon = 1e-8F;  // under the root of the group penalty
// Blocks of step_planes that a multiprocessor has room for: a GPU with 108 multiprocessors then takes all chunks of
// ResNet-20 at once, and no last few of them wait for memory alone.
constexpr int kStepsAtOnce = 5;
static_assert(GridMemory::kMostTensors < GridMemory::kCounters);
static_assert(GridMemory::kMostTensors * sizeof(double) <= GridMemory::kSumBytes);

/// The partial sums of chunks.
struct ChunkSums {
  float* squares = nullptr;   // [chunk][kMaxBits], both planes of a bit together
  float* d_scales = nullptr;  // [chunk]
};

ChunkSums sums_in(void* scratch, std::int64_t chunks) {
  auto* squares = static_cast<float*>(scratch);
  return {squares, squares + chunks * kMaxBits};
}

/// Adds (p - n) 2^(n-1-b) to u levels, and p^2 + n^2 to the squares of the plane: the larger number first, so that they
/// are the same, bit for bit, where p and n change places.
template <int Bits, int Width>
__device__ void add_plane(const float (&positive)[Width], const float (&negative)[Width], int bit,
                          float (&scaled)[Width], float& squares) {
  for (int i = 0; i < Width; ++i) {
    scaled[i] += (positive[i] - negative[i]) * static_cast<float>(1 << (Bits - 1 - bit));
    const bool swapped = positive[i] < negative[i];  // not by fmaxf(), which drops a NaN
    const float larger = swapped ? negative[i] : positive[i];
    const float smaller = swapped ? positive[i] : negative[i];
    squares = fmaf(larger, larger, fmaf(smaller, smaller, squares));
  }
}

template <int Bits, int Width>
__device__ void reconstruct(const PlaneTensor& tensor, const float* planes, float* weights, float scale,
                            std::int64_t index, float (&squares)[Bits]) {
  constexpr auto levels = static_cast<float>((1 << Bits) - 1);
  const float* p = planes + tensor.plane_offset + index;
  const float* n = p + Bits * tensor.numel;
  float scaled[Width] = {};
#pragma unroll
  for (int bit = 0; bit < Bits; ++bit) {
    float positive[Width];
    float negative[Width];
    load<Width>(p + bit * tensor.numel, positive);
    load<Width>(n + bit * tensor.numel, negative);
    add_plane<Bits>(positive, negative, bit, scaled, squares[bit]);
  }
  for (int i = 0; i < Width; ++i) scaled[i] = level_of(scaled[i], levels);
  store_weights<Width>(tensor, weights, index, scaled, scale, levels);
}

/// Called by the last block of a tensor: makes its norms, one warp per plane in turn. Returns true to the block of the
/// last tensor, whose thread 0 gets the penalty of all tensors in `penalty`.
__device__ bool finish_norms(const PlaneTensor& tensor, const Chunk& chunk, int num_tensors, const ChunkSums& sums,
                             float* plane_norms, double& penalty, const GridMemory& memory) {
  BSQ_SHARED(double, terms, [kMaxBits]);
  for (int bit = static_cast<int>(threadIdx.x) / kWarp; bit < tensor.bits; bit += kChunkWarps) {
    const double squares = sum_of_chunks(sums.squares + chunk.first * kMaxBits + bit, chunk.count, kMaxBits);
    const double norm = sqrt(static_cast<double>(kNormEpsilon) + squares);
    if (threadIdx.x % kWarp == 0) {
      plane_norms[tensor.first_plane + bit] = static_cast<float>(norm);
      terms[bit] = tensor.penalty_weight * norm;
    }
  }
  __syncthreads();
  penalty = 0;
  if (threadIdx.x == 0)
    for (int other = 0; other < tensor.bits; ++other) penalty += terms[other];
  return combine_blocks(penalty, static_cast<unsigned>(chunk.tensor), static_cast<unsigned>(num_tensors),
                        static_cast<double*>(memory.sums), memory.last_counter(), Sum());
}

__device__ float unit_of(const PlaneTensor& tensor, float scale) {
  return scale / static_cast<float>((1 << tensor.bits) - 1);
}

// grid one block per chunk, block kChunkThreads, one thread per vector of weights
__global__ void reconstruct_weights(PlanesForwardArgs args, int num_tensors, ChunkSums sums, GridMemory memory) {
  wait_for_previous();
  const Chunk chunk(args.tensors.device, num_tensors);
  const PlaneTensor tensor = args.tensors.device[chunk.tensor];
  const float scale = args.scales[chunk.tensor];
  if (tensor.storage != WeightStorage::values && chunk.begin == 0 && threadIdx.x == 0)
    args.weight_units[chunk.tensor] = unit_of(tensor, scale);
  dispatch_bits(tensor.bits, [&]<int Bits>() {
    float squares[Bits] = {};
    for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
      reconstruct<Bits, Width>(tensor, args.planes, args.weights, scale, index, squares);
    });
    leave_sums(squares, sums.squares);
  });
  if (!arrives_last(memory.counters + chunk.tensor, static_cast<unsigned>(chunk.count))) return;
  double penalty = 0;
  const bool is_last = finish_norms(tensor, chunk, num_tensors, sums, args.plane_norms, penalty, memory);
  if (is_last && threadIdx.x == 0 && args.penalty != nullptr) *args.penalty = penalty;
}

/// The numbers that the step of one tensor needs besides its planes.
struct StepFactors {
  float to_scaled;  // makes a stored gradient dL / d(u levels)
  float learning_rate;
  float alpha;  // strength of the group penalty
  SgdRule rule;
};

/// Steps one plane of a bit for Width weights.
template <int Width>
__device__ void step_plane(float* planes, float* momentum, float (&plane)[Width], const float (&slope)[Width],
                           float pull, const StepFactors& factors) {
  float velocity[Width];
  load<Width>(momentum, velocity);
  for (int i = 0; i < Width; ++i)
    plane[i] =
        clamped(sgd_moved(plane[i], fmaf(pull, plane[i], slope[i]), factors.rule, factors.learning_rate, velocity[i]),
                0.0F, 2.0F);
  store<Width>(momentum, velocity);
  store<Width>(planes, plane);
}

/// Returns q times the stored gradient, summed over the Width weights, and adds up the squares of the new planes.
template <int Bits, int Width>
__device__ float step_weights(const PlanesStepArgs& args, const PlaneTensor& tensor, const StepFactors& factors,
                              std::int64_t index, float (&squares)[Bits]) {
  constexpr auto levels = static_cast<float>((1 << Bits) - 1);
  const std::int64_t p_at = tensor.plane_offset + index;
  const std::int64_t n_at = p_at + Bits * tensor.numel;
  float d_weight[Width];
  load<Width>(args.d_weights + tensor.weight_offset + index, d_weight);
  float scaled[Width] = {};
  float next_scaled[Width] = {};
#pragma unroll
  for (int bit = 0; bit < Bits; ++bit) {
    const std::int64_t offset = bit * tensor.numel;
    const auto weight = static_cast<float>(1 << (Bits - 1 - bit));
    // Gradient of penalty and decay, per unit of x.
    const float pull =
        factors.alpha * tensor.penalty_weight / args.plane_norms[tensor.first_plane + bit] + factors.rule.weight_decay;
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
    add_plane<Bits>(positive, negative, bit, next_scaled, squares[bit]);
  }
  float sum = 0;
  for (int i = 0; i < Width; ++i) {
    sum = fmaf(level_of(scaled[i], levels) / levels, d_weight[i], sum);
    next_scaled[i] = level_of(next_scaled[i], levels);
  }
  if (tensor.storage != WeightStorage::values)
    store_weights<Width>(tensor, args.weights, index, next_scaled, 0.0F, levels);
  return sum;
}

/// Called by the last block of a tensor, when all its planes have moved: makes its scale, unit and norms; the last
/// block of all makes the penalty.
__device__ void finish_step(const PlanesStepArgs& args, const PlaneTensor& tensor, const Chunk& chunk, int num_tensors,
                            const ChunkSums& sums, const GridMemory& memory) {
  const ScaleStep scale_step{rule_for(args.rule, tensor.decay.scale), args.inputs, sums.d_scales, args.scales,
                             args.scale_momentum};
  if (static_cast<int>(threadIdx.x) / kWarp == kChunkWarps - 1) {
    const float scale = scale_step.run(chunk);
    if (threadIdx.x % kWarp == 0 && tensor.storage != WeightStorage::values)
      args.weight_units[chunk.tensor] = unit_of(tensor, scale);
  }
  double penalty = 0;
  const bool is_last = finish_norms(tensor, chunk, num_tensors, sums, args.plane_norms, penalty, memory);
  if (!is_last || threadIdx.x != 0) return;
  if (args.metrics != nullptr) args.metrics[args.inputs->metrics_slot].penalty = *args.penalty;
  *args.penalty = penalty;
}

// `Nesterov` is that of the rule: a kernel for both would have no register left.
// grid one block per chunk, block kChunkThreads, one thread per vector of weights
template <bool Nesterov>
__global__ void __launch_bounds__(kChunkThreads, kStepsAtOnce)
    step_planes(PlanesStepArgs args, int num_tensors, ChunkSums sums, GridMemory memory) {
  wait_for_previous();
  BSQ_SHARED(float, shared, [kChunkWarps]);
  const Chunk chunk(args.tensors.device, num_tensors);
  const PlaneTensor tensor = args.tensors.device[chunk.tensor];
  const auto levels = static_cast<float>((1 << tensor.bits) - 1);
  const GradientFactors gradient(tensor.storage, args.scales[chunk.tensor], levels);
  SgdRule rule = rule_for(args.rule, tensor.decay.weights);
  rule.nesterov = Nesterov;
  const StepFactors factors{gradient.to_u / levels, args.inputs->learning_rate, args.inputs->method.data()[0], rule};
  float d_scale = 0;
  dispatch_bits(tensor.bits, [&]<int Bits>() {
    float squares[Bits] = {};
    for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
      d_scale += step_weights<Bits, Width>(args, tensor, factors, index, squares);
    });
    leave_sums(squares, sums.squares);
  });
  d_scale = reduce_block(d_scale, shared, Sum());
  if (threadIdx.x == 0) sums.d_scales[blockIdx.x] = d_scale * gradient.to_true;
  if (arrives_last(memory.counters + chunk.tensor, static_cast<unsigned>(chunk.count)))
    finish_step(args, tensor, chunk, num_tensors, sums, memory);
}

/// Selects the tensors that step_planes cannot write, since their scale is in every weight.
struct StoredAsValues {
  __host__ __device__ bool operator()(const PlaneTensor& tensor) const {
    return tensor.storage == WeightStorage::values;
  }
};

// grid one block per chunk of tensors stored as values, block kChunkThreads, one thread per vector of weights
__global__ void write_values(PlanesStepArgs args, int num_tensors) {
  wait_for_previous();
  const Chunk chunk(args.tensors.device, num_tensors, StoredAsValues());
  const PlaneTensor tensor = args.tensors.device[chunk.tensor];
  const float scale = args.scales[chunk.tensor];
  dispatch_bits(tensor.bits, [&]<int Bits>() {
    float squares[Bits] = {};  // known already
    for_chunk(chunk, tensor, [&]<int Width>(std::int64_t index) {
      reconstruct<Bits, Width>(tensor, args.planes, args.weights, scale, index, squares);
    });
  });
}

}  // namespace

std::size_t planes_scratch_bytes(const DeviceTable<PlaneTensor>& tensors, const DeviceContext& /*on*/) {
  check_tensors(tensors.host);
  for (const PlaneTensor& tensor : tensors.host)  // or nobody would arrive for it, and all would wait
    if (tensor.numel == 0) fail_empty_tensor();
  return static_cast<std::size_t>(total_chunks(tensors.host)) * (kMaxBits + 1) * sizeof(float);
}

void weights_from_planes(const PlanesForwardArgs& args, const DeviceContext& on) {
  const std::int64_t chunks = total_chunks(args.tensors.host);
  launch(reconstruct_weights, dim3(static_cast<unsigned>(chunks)), dim3(kChunkThreads), 0, on.stream, args,
         static_cast<int>(args.tensors.host.size()), sums_in(args.scratch, chunks), on.memory);
}

void planes_step(const PlanesStepArgs& args, const DeviceContext& on) {
  const auto num_tensors = static_cast<int>(args.tensors.host.size());
  const std::int64_t chunks = total_chunks(args.tensors.host);
  launch(args.rule.nesterov ? step_planes<true> : step_planes<false>, dim3(static_cast<unsigned>(chunks)),
         dim3(kChunkThreads), 0, on.stream, args, num_tensors, sums_in(args.scratch, chunks), on.memory);
  std::int64_t value_chunks = 0;
  for (const PlaneTensor& tensor : args.tensors.host)
    if (StoredAsValues()(tensor)) value_chunks += chunks_of(tensor.numel);
  if (value_chunks > 0)
    launch(write_values, dim3(static_cast<unsigned>(value_chunks)), dim3(kChunkThreads), 0, on.stream, args,
           num_tensors);
}

}  // namespace bsq::cuda
