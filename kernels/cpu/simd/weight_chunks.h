// Quantized weights of all tensors, sixteen at a time: what bit planes and fixed-point weights have in common.
//
// q (2^n - 1) = sign(u) round(min(|u| (2^n - 1), 2^n - 1)). Work is cut into chunks of one tensor; partial sums of a
// chunk are combined in chunk order.
#pragma once

#include "kernels/cpu/simd/lanes.h"
#include "kernels/ops/operations.h"

#include <span>

namespace bsq::BSQ_SIMD_NAMESPACE {

constexpr std::int64_t kChunkWeights = 2048;

BSQ_LANES_INLINE std::int64_t chunks_of(std::int64_t numel) {
  return (numel + kChunkWeights - 1) / kChunkWeights;
}

/// How many parts of a tensor have numbers of their own, each its own chunks.
template <typename Tensor>
BSQ_LANES_INLINE std::int64_t rows_of(const Tensor& tensor) {
  if constexpr (requires { tensor.rows; }) return tensor.rows;
  return 1;
}

template <typename Tensor>
BSQ_LANES_INLINE std::int64_t chunks_of_row(const Tensor& tensor) {
  return chunks_of(rows_of(tensor) == 1 ? tensor.numel : tensor.numel / rows_of(tensor));
}

template <typename Tensor>
BSQ_LANES_INLINE std::int64_t chunks_of_tensor(const Tensor& tensor) {
  return rows_of(tensor) * chunks_of_row(tensor);
}

template <typename Tensor>
std::int64_t total_chunks(std::span<const Tensor> tensors) {
  std::int64_t chunks = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) chunks += chunks_of_tensor(tensors.data()[i]);
  return chunks;
}

/// One unit of parallel work: weights [begin, end) of one tensor, within one of its rows.
struct Chunk {
  std::int64_t tensor;
  std::int64_t begin;
  std::int64_t end;
  std::int64_t row;
};

/// The chunk `index` of a tensor.
template <typename Tensor>
Chunk chunk_of(const Tensor& tensor, std::int64_t tensor_index, std::int64_t index) {
  const std::int64_t row = rows_of(tensor) == 1 ? 0 : index / chunks_of_row(tensor);
  const std::int64_t row_numel = rows_of(tensor) == 1 ? tensor.numel : tensor.numel / rows_of(tensor);
  const std::int64_t begin = row * row_numel + (index - row * chunks_of_row(tensor)) * kChunkWeights;
  const std::int64_t row_end = (row + 1) * row_numel;
  return {tensor_index, begin, begin + kChunkWeights < row_end ? begin + kChunkWeights : row_end, row};
}

/// The chunk `index` of all tensors together.
template <typename Tensor>
Chunk find_chunk(std::span<const Tensor> tensors, std::int64_t index) {
  std::int64_t tensor = 0;
  while (index >= chunks_of_tensor(tensors.data()[tensor])) index -= chunks_of_tensor(tensors.data()[tensor++]);
  return chunk_of(tensors.data()[tensor], tensor, index);
}

/// Calls body(first weight, lanes in use) for every sixteen weights of [begin, end).
template <typename Body>
BSQ_LANES_INLINE void for_lanes(std::int64_t begin, std::int64_t end, Body body) {
  std::int64_t index = begin;
  for (; index + kLanes <= end; index += kLanes) body.template operator()<true>(index, kLanes);
  if (index < end) body.template operator()<false>(index, static_cast<int>(end - index));
}

/// The integer level q (2^n - 1) = sign(u) round(min(|u| levels, levels)), from u * levels.
BSQ_LANES_INLINE FloatLanes level_of(FloatLanes scaled, float levels) {
  return copy_sign(round_half_even(at_most(magnitude(scaled), broadcast(levels))), scaled);
}

/// Writes sixteen weights: s q, or the integers that s / levels is the unit of.
template <bool Full, typename Tensor>
BSQ_LANES_INLINE void store_weights(const Tensor& tensor, float* weights, std::int64_t index, FloatLanes level,
                                    float scale, float levels, int count) {
  float* target = weights + tensor.weight_offset;
  if (tensor.storage == WeightStorage::integers_bf16) {
    store_lanes<Full>(reinterpret_cast<Bf16*>(target) + index, level, count);
  } else {
    const bool as_integers = tensor.storage == WeightStorage::integers;
    store_lanes<Full>(target + index, as_integers ? level : scale * (level / levels), count);
  }
}

/// The factors of a gradient of stored weights.
struct GradientFactors {
  float to_u;     // makes it dL / du
  float to_true;  // makes it dW
};

BSQ_LANES_INLINE GradientFactors gradient_factors(WeightStorage storage, float scale, float levels) {
  if (storage == WeightStorage::values) return {scale, 1.0F};
  return {levels, scale == 0 ? 0.0F : levels / scale};
}

/// The weight decay of numbers that decay, or do not.
BSQ_LANES_INLINE float decay_of(const SgdRule& rule, bool decays) {
  return decays ? rule.weight_decay : 0.0F;
}

/// Calls body<Nesterov>(): whoever steps many numbers is compiled once for either momentum, so that the loop of the one
/// does not depend on there being another.
template <typename Body>
BSQ_LANES_INLINE void dispatch_momentum(const SgdRule& rule, Body body) {
  rule.nesterov ? body.template operator()<true>() : body.template operator()<false>();
}

/// Values after a step of the rule, whose velocities are stored. `gradient` has the decay in it.
template <bool Nesterov, bool Full>
BSQ_LANES_INLINE FloatLanes momentum_step(FloatLanes gradient, FloatLanes value, float* velocity, int count,
                                          float momentum, float learning_rate) {
  const FloatLanes speed = momentum * load_lanes<Full>(velocity, count) + gradient;
  store_lanes<Full>(velocity, speed, count);
  if constexpr (Nesterov) return value - learning_rate * (gradient + momentum * speed);
  return value - learning_rate * speed;
}

/// The SGD step of a single number. Not inlined: what is done beside it must not change how its sums are rounded.
template <bool Nesterov>
[[gnu::noinline]] void step_number(float gradient, float decay, float momentum, float learning_rate, float* number,
                                   float* velocity) {
  *velocity = momentum * *velocity + gradient + decay * *number;
  const float move = Nesterov ? gradient + decay * *number + momentum * *velocity : *velocity;
  *number -= learning_rate * move;
}

/// The SGD step of a scale, from the partial sums of its gradient.
inline void step_scale(const double* partials, std::int64_t chunks, const SgdRule& rule, bool decays,
                       float learning_rate, float* scale, float* velocity) {
  double sum = 0;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += partials[chunk];
  dispatch_momentum(rule, [&]<bool Nesterov>() {
    step_number<Nesterov>(static_cast<float>(sum), decay_of(rule, decays), rule.momentum, learning_rate, scale,
                          velocity);
  });
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
