// Weights on a grid whose step is trained: every tensor of a network in one pass, sixteen weights at a time.
#include "kernels/cpu/simd/variant.h"
#include "kernels/cpu/simd/weight_chunks.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

/// Weights on the grid of their tensor, before and after rounding.
struct Placed {
  FloatLanes quotient;  // w / s
  FloatLanes clamped;
  FloatLanes level;
};

BSQ_LANES_INLINE Placed placed_on(const LsqTensor& tensor, FloatLanes w, float step) {
  const FloatLanes quotient = w / step;
  const FloatLanes clamped = at_most(at_least(quotient, broadcast(static_cast<float>(tensor.low))),
                                     broadcast(static_cast<float>(tensor.high)));
  return {quotient, clamped, round_half_even(clamped)};
}

/// What a chunk adds to the sums of its tensor.
struct ChunkSums {
  double d_step;
  double rounding;  // (w - W) dW
};

/// Steps the weights of a chunk; returns its part of the step's gradient, and of what rounding does to the loss if
/// somebody asks.
template <bool Nesterov, bool Measures>
ChunkSums step_chunk(const LsqStepArgs& args, const LsqTensor& tensor, float step, const Chunk& chunk) {
  const float learning_rate = args.inputs->learning_rate;
  const float decay = decay_of(args.rule, tensor.decays);
  const float to_true = gradient_factors(tensor.storage, step, 1.0F).to_true;
  FloatLanes d_step{}, rounding{};
  for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
    float* target = args.w + tensor.weight_offset + at;
    const FloatLanes value = load_lanes<Full>(target, count);
    const FloatLanes d_weight = load_lanes<Full>(args.d_weights + tensor.weight_offset + at, count);
    const Placed placed = placed_on(tensor, value, step);
    const auto inside = placed.clamped == placed.quotient;
    d_step += (placed.level - (inside ? placed.quotient : FloatLanes{})) * d_weight;
    if constexpr (Measures) rounding += (placed.quotient - placed.level) * d_weight;
    const FloatLanes gradient = inside ? to_true * d_weight : FloatLanes{};
    const FloatLanes moved =
        momentum_step<Nesterov, Full>(gradient + decay * value, value, args.w_momentum + tensor.weight_offset + at,
                                      count, args.rule.momentum, learning_rate);
    store_lanes<Full>(target, moved, count);
  });
  return {sum_of(d_step) * static_cast<double>(to_true) * static_cast<double>(tensor.grad_scale),
          Measures ? sum_of(rounding) * static_cast<double>(to_true) * static_cast<double>(step) : 0};
}

/// From the parts of its chunks, in their order.
void add_sensitivity(const LsqTensor& tensor, const double* roundings, float* sensitivity) {
  const std::int64_t chunks = chunks_of_row(tensor);
  double of_tensor = 0;
  for (std::int64_t row = 0; row < tensor.rows; ++row, roundings += chunks) {
    double sum = 0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += roundings[chunk];
    of_tensor += sum < 0 ? -sum : sum;
  }
  *sensitivity += static_cast<float>(of_tensor / static_cast<double>(tensor.numel));
}

/// Moves the steps of a tensor, from what its chunks have left.
void move_steps(const LsqStepArgs& args, const LsqTensor& tensor, const double* partials) {
  const std::int64_t chunks = chunks_of_row(tensor);
  for (std::int64_t row = 0; row < tensor.rows; ++row) {
    float* step = args.steps + tensor.first_step + row;
    step_scale(partials + row * chunks, chunks, args.rule, false, args.inputs->learning_rate, step,
               args.step_momentum + tensor.first_step + row);
    if (*step < kSmallestStep) *step = kSmallestStep;  // a NaN stays one
  }
}

}  // namespace

std::size_t lsq_scratch_bytes(const DeviceTable<LsqTensor>& tensors) {
  return 2 * static_cast<std::size_t>(total_chunks(tensors.host)) * sizeof(double);
}

void weights_from_lsq(const LsqForwardArgs& args) {
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    const LsqTensor& tensor = args.tensors.device[chunk.tensor];
    const float step = args.steps[tensor.first_step + chunk.row];
    for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
      FloatLanes level{};
      if (tensor.high > 0)
        level = placed_on(tensor, load_lanes<Full>(args.w + tensor.weight_offset + at, count), step).level;
      store_weights<Full>(tensor, args.weights, at, level, step, 1.0F, count);
    });
    if (tensor.storage != WeightStorage::values && tensor.rows == 1 && chunk.begin == 0)
      args.weight_units[chunk.tensor] = step;
  }
}

void lsq_step(const LsqStepArgs& args) {
  auto* partials = static_cast<double*>(args.scratch);
  double* roundings = partials + total_chunks(args.tensors.host);
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    const LsqTensor& tensor = args.tensors.host.data()[chunk.tensor];
    if (tensor.high == 0) continue;
    dispatch_momentum(args.rule, [&]<bool Nesterov>() {
      const float step = args.steps[tensor.first_step + chunk.row];
      const ChunkSums sums = args.sensitivities == nullptr ? step_chunk<Nesterov, false>(args, tensor, step, chunk)
                                                           : step_chunk<Nesterov, true>(args, tensor, step, chunk);
      partials[index] = sums.d_step;
      roundings[index] = sums.rounding;
    });
  }
  for (std::size_t i = 0; i < args.tensors.host.size(); ++i) {
    const LsqTensor& tensor = args.tensors.host.data()[i];
    if (tensor.high > 0) {
      if (args.sensitivities != nullptr) add_sensitivity(tensor, roundings, args.sensitivities + i);
      move_steps(args, tensor, partials);
    }
    partials += chunks_of_tensor(tensor);
    roundings += chunks_of_tensor(tensor);
  }
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
