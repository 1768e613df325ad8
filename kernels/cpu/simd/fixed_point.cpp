// Fixed-point weights: every tensor of a network in one pass, sixteen weights at a time.
#include "kernels/cpu/simd/variant.h"
#include "kernels/cpu/simd/weight_chunks.h"

namespace bsq::BSQ_SIMD_NAMESPACE {

std::size_t fixed_scratch_bytes(const DeviceTable<FixedTensor>& tensors) {
  return static_cast<std::size_t>(total_chunks(tensors.host)) * sizeof(double);
}

void weights_from_fixed(const FixedForwardArgs& args) {
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    const FixedTensor& tensor = args.tensors.device[chunk.tensor];
    const auto levels = tensor.bits > 0 ? static_cast<float>((1 << tensor.bits) - 1) : 1.0F;
    const float scale = args.scales[chunk.tensor];
    for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
      FloatLanes level{};
      if (tensor.bits > 0)
        level = level_of(load_lanes<Full>(args.u + tensor.weight_offset + at, count) * levels, levels);
      store_weights<Full>(tensor, args.weights, at, level, scale, levels, count);
    });
    if (tensor.storage != WeightStorage::values && chunk.begin == 0) args.weight_units[chunk.tensor] = scale / levels;
  }
}

namespace {

/// Steps the weights of a chunk; returns its part of the scale's gradient.
template <bool Nesterov>
double step_chunk(const FixedStepArgs& args, const FixedTensor& tensor, float scale, const Chunk& chunk) {
  const float learning_rate = args.inputs->learning_rate;
  const auto levels = static_cast<float>((1 << tensor.bits) - 1);
  const float decay = decay_of(args.rule, tensor.decay.weights);
  const GradientFactors factors = gradient_factors(tensor.storage, scale, levels);
  FloatLanes d_scale{};
  for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
    float* target = args.u + tensor.weight_offset + at;
    const FloatLanes value = load_lanes<Full>(target, count);
    const FloatLanes d_weight = load_lanes<Full>(args.d_weights + tensor.weight_offset + at, count);
    d_scale += level_of(value * levels, levels) / levels * d_weight;
    const FloatLanes moved = momentum_step<Nesterov, Full>(factors.to_u * d_weight + decay * value, value,
                                                           args.u_momentum + tensor.weight_offset + at, count,
                                                           args.rule.momentum, learning_rate);
    store_lanes<Full>(target, at_most(at_least(moved, broadcast(-1.0F)), broadcast(1.0F)), count);
  });
  return sum_of(d_scale) * static_cast<double>(factors.to_true);
}

}  // namespace

void fixed_step(const FixedStepArgs& args) {
  auto* partials = static_cast<double*>(args.scratch);
  const float learning_rate = args.inputs->learning_rate;
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    const FixedTensor& tensor = args.tensors.host.data()[chunk.tensor];
    if (tensor.bits == 0) continue;
    dispatch_momentum(args.rule, [&]<bool Nesterov>() {
      partials[index] = step_chunk<Nesterov>(args, tensor, args.scales[chunk.tensor], chunk);
    });
  }
  for (std::size_t i = 0; i < args.tensors.host.size(); ++i) {
    const FixedTensor& tensor = args.tensors.host.data()[i];
    const std::int64_t count = chunks_of(tensor.numel);
    if (tensor.bits > 0)
      step_scale(partials, count, args.rule, tensor.decay.scale, learning_rate, args.scales + i,
                 args.scale_momentum + i);
    partials += count;
  }
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
