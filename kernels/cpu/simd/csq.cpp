// Weights whose planes and masks are gates: every tensor of a network in one pass, sixteen weights at a time.
#include "kernels/cpu/simd/gates.h"
#include "kernels/cpu/simd/variant.h"
#include "kernels/cpu/simd/weight_chunks.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

/// The masks of a tensor, and the weights c_b of its planes.
struct Masks {
  float value[kLanes];
  float slope[kLanes];  // by m; 0 if the mask does not move
  float plane_weight[kMaxBits];
  bool move = false;
};

Masks masks_of(const CsqTensor& tensor, const float* masks, const CsqNumbers& numbers) {
  Masks result;
  Gates gates = {broadcast(1.0F), {}};
  if (tensor.masked) {
    const FloatLanes m = load_some(masks + tensor.first_mask, tensor.bits);
    result.move = numbers.hardness == CsqHardness::none;
    gates = result.move ? soft_gates(m, numbers.temperature) : Gates{hard_gates(m), {}};
  }
  store(result.value, gates.value);
  store(result.slope, gates.slope);
  const auto levels = static_cast<float>((1 << tensor.bits) - 1);
  for (int bit = 0; bit < tensor.bits; ++bit)
    result.plane_weight[bit] = static_cast<float>(1 << (tensor.bits - 1 - bit)) / levels;
  return result;
}

CsqBudget budget_of(std::span<const CsqTensor> tensors, const float* masks, const CsqNumbers& numbers) {
  CsqBudget budget;
  double pulled = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const CsqTensor& tensor = tensors.data()[i];
    const Masks gates = masks_of(tensor, masks, numbers);
    for (int bit = 0; bit < tensor.bits; ++bit) {
      const float m = tensor.masked ? masks[tensor.first_mask + bit] : 1.0F;
      if (m > 0 || (gates.move && m == 0)) budget.bits += static_cast<double>(tensor.share);
      pulled += static_cast<double>(tensor.pull) * static_cast<double>(gates.value[bit]);
    }
  }
  budget.loss = (budget.bits - static_cast<double>(numbers.target)) * pulled;
  return budget;
}

void place_chunk(const CsqForwardArgs& args, const CsqTensor& tensor, const Chunk& chunk, const CsqNumbers& numbers) {
  const Masks masks = masks_of(tensor, args.masks, numbers);
  const bool is_hard = numbers.hardness == CsqHardness::all;
  const float scale = args.scales[chunk.tensor];
  const float* p = args.planes + tensor.plane_offset;
  const float* n = p + tensor.bits * tensor.numel;
  for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
    FloatLanes sum{};
    for (int bit = 0; bit < tensor.bits; ++bit) {
      const FloatLanes positive = load_lanes<Full>(p + bit * tensor.numel + at, count);
      const FloatLanes negative = load_lanes<Full>(n + bit * tensor.numel + at, count);
      const FloatLanes difference =
          is_hard ? hard_gates(positive) - hard_gates(negative)
                  : soft_gates(positive, numbers.temperature).value - soft_gates(negative, numbers.temperature).value;
      sum += masks.plane_weight[bit] * masks.value[bit] * difference;
    }
    store_lanes<Full>(args.weights + tensor.weight_offset + at, scale * sum, count);
  });
}

/// Steps the planes of a chunk; sums[b]: its part of S_b.
template <bool Nesterov>
void step_chunk(const CsqStepArgs& args, const CsqTensor& tensor, const Chunk& chunk, const CsqNumbers& numbers,
                double* sums) {
  const Masks masks = masks_of(tensor, args.masks, numbers);
  const float scale = args.scales[chunk.tensor], learning_rate = args.inputs->learning_rate;
  const float decay = decay_of(args.rule, tensor.decay.weights);
  for (int bit = 0; bit < tensor.bits; ++bit) {
    const float factor = scale * masks.plane_weight[bit] * masks.value[bit];
    const std::int64_t first = tensor.plane_offset + bit * tensor.numel;
    FloatLanes sum{};
    for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
      const std::int64_t p_at = first + at, n_at = p_at + tensor.bits * tensor.numel;
      const FloatLanes d_weight = load_lanes<Full>(args.d_weights + tensor.weight_offset + at, count);
      const FloatLanes positive = load_lanes<Full>(args.planes + p_at, count);
      const FloatLanes negative = load_lanes<Full>(args.planes + n_at, count);
      const Gates p = soft_gates(positive, numbers.temperature), n = soft_gates(negative, numbers.temperature);
      sum += (p.value - n.value) * d_weight;
      const FloatLanes slope = factor * d_weight;
      store_lanes<Full>(
          args.planes + p_at,
          momentum_step<Nesterov, Full>(slope * p.slope + decay * positive, positive, args.plane_momentum + p_at, count,
                                        args.rule.momentum, learning_rate),
          count);
      store_lanes<Full>(
          args.planes + n_at,
          momentum_step<Nesterov, Full>(decay * negative - slope * n.slope, negative, args.plane_momentum + n_at, count,
                                        args.rule.momentum, learning_rate),
          count);
    });
    sums[bit] = sum_of(sum);
  }
}

/// Steps scale and masks of tensor `index`, from the sums that its chunks have left.
void finish_tensor(const CsqStepArgs& args, std::size_t index, const CsqNumbers& numbers, const double* partials) {
  const CsqTensor& tensor = args.tensors.host.data()[index];
  const Masks masks = masks_of(tensor, args.masks, numbers);
  const auto scale = static_cast<double>(args.scales[index]);
  const double excess = static_cast<double>(numbers.strength) *
                        (args.budget->bits - static_cast<double>(numbers.target)) * static_cast<double>(tensor.pull);
  double d_scale = 0;
  for (int bit = 0; bit < tensor.bits; ++bit) {
    double sum = 0;
    for (std::int64_t chunk = 0; chunk < chunks_of(tensor.numel); ++chunk) sum += partials[chunk * kMaxBits + bit];
    sum *= static_cast<double>(masks.plane_weight[bit]);
    d_scale += static_cast<double>(masks.value[bit]) * sum;
    if (!masks.move) continue;
    const double d_mask = (scale * sum + excess) * static_cast<double>(masks.slope[bit]);
    const std::int32_t at = tensor.first_mask + bit;
    step_scale(&d_mask, 1, args.rule, tensor.decay.weights, args.inputs->learning_rate, args.masks + at,
               args.mask_momentum + at);
  }
  step_scale(&d_scale, 1, args.rule, tensor.decay.scale, args.inputs->learning_rate, args.scales + index,
             args.scale_momentum + index);
}

}  // namespace

std::size_t csq_scratch_bytes(const DeviceTable<CsqTensor>& tensors) {
  return static_cast<std::size_t>(total_chunks(tensors.host)) * kMaxBits * sizeof(double);
}

void weights_from_csq(const CsqForwardArgs& args) {
  const CsqNumbers numbers = CsqNumbers::from(args.inputs->method);
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    place_chunk(args, args.tensors.host.data()[chunk.tensor], chunk, numbers);
  }
  *args.budget = budget_of(args.tensors.host, args.masks, numbers);
}

void csq_step(const CsqStepArgs& args) {
  const CsqNumbers numbers = CsqNumbers::from(args.inputs->method);
  auto* partials = static_cast<double*>(args.scratch);
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    dispatch_momentum(args.rule, [&]<bool Nesterov>() {
      step_chunk<Nesterov>(args, args.tensors.host.data()[chunk.tensor], chunk, numbers, partials + index * kMaxBits);
    });
  }
  for (std::size_t i = 0; i < args.tensors.host.size(); ++i) {
    finish_tensor(args, i, numbers, partials);
    partials += chunks_of(args.tensors.host.data()[i].numel) * kMaxBits;
  }
  if (args.metrics != nullptr) args.metrics[args.inputs->metrics_slot].penalty = args.budget->loss;
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
