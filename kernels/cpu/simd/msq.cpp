// Weights whose last bit a penalty empties: every tensor of a network in one pass, sixteen weights at a time.
#include "kernels/cpu/simd/variant.h"
#include "kernels/cpu/simd/weight_chunks.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

/// k of n bits; parts = 2^n. With parts = 1 it is 0.
BSQ_LANES_INLINE FloatLanes halved_level(FloatLanes u, float parts) {
  const float most = parts - 1;
  return at_most(at_least(round_half_even(u * parts), broadcast(-most)), broadcast(most));
}

BSQ_LANES_INLINE float parts_of(const MsqTensor& tensor) {
  return static_cast<float>(1 << tensor.bits);
}

/// What a tensor's step needs beside its weights.
struct TensorStep {
  float parts;  // 2^n
  float pull;   // of the penalty
  GradientFactors factors;
};

/// Steps the weights of a chunk; returns its part of the scale's gradient.
template <bool Nesterov>
double step_chunk(const MsqStepArgs& args, const MsqTensor& tensor, const TensorStep& step, const Chunk& chunk) {
  const float learning_rate = args.inputs->learning_rate;
  const float decay = decay_of(args.rule, tensor.decay.weights);
  FloatLanes d_scale{};
  for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
    float* target = args.u + tensor.weight_offset + at;
    const FloatLanes value = load_lanes<Full>(target, count);
    const FloatLanes d_weight = load_lanes<Full>(args.d_weights + tensor.weight_offset + at, count);
    const FloatLanes level = halved_level(value, step.parts);
    const FloatLanes last_bit = level - 2.0F * halved_level(value, 0.5F * step.parts);
    const FloatLanes pull = last_bit > FloatLanes{}   ? broadcast(step.pull)
                            : last_bit < FloatLanes{} ? broadcast(-step.pull)
                                                      : FloatLanes{};
    d_scale += level / step.parts * d_weight;
    const FloatLanes gradient = step.factors.to_u * d_weight + pull;
    const FloatLanes moved =
        momentum_step<Nesterov, Full>(gradient + decay * value, value, args.u_momentum + tensor.weight_offset + at,
                                      count, args.rule.momentum, learning_rate);
    store_lanes<Full>(target, at_most(at_least(moved, broadcast(-1.0F)), broadcast(1.0F)), count);
  });
  return sum_of(d_scale) * static_cast<double>(step.factors.to_true);
}

}  // namespace

std::size_t msq_scratch_bytes(const DeviceTable<MsqTensor>& tensors) {
  return static_cast<std::size_t>(total_chunks(tensors.host)) * sizeof(double);
}

void weights_from_msq(const MsqForwardArgs& args) {
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    const MsqTensor& tensor = args.tensors.device[chunk.tensor];
    const float parts = parts_of(tensor);
    const float scale = args.scales[chunk.tensor];
    for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
      FloatLanes level{};
      if (tensor.bits > 0) level = halved_level(load_lanes<Full>(args.u + tensor.weight_offset + at, count), parts);
      store_weights<Full>(tensor, args.weights, at, level, scale, parts, count);
    });
    if (tensor.storage != WeightStorage::values && chunk.begin == 0) args.weight_units[chunk.tensor] = scale / parts;
  }
}

void msq_step(const MsqStepArgs& args) {
  auto* partials = static_cast<double*>(args.scratch);
  const float learning_rate = args.inputs->learning_rate;
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    const MsqTensor& tensor = args.tensors.host.data()[chunk.tensor];
    if (tensor.bits == 0) continue;
    const float parts = parts_of(tensor);
    const TensorStep step{parts, args.inputs->method[0] * tensor.pull,
                          gradient_factors(tensor.storage, args.scales[chunk.tensor], parts)};
    dispatch_momentum(args.rule,
                      [&]<bool Nesterov>() { partials[index] = step_chunk<Nesterov>(args, tensor, step, chunk); });
  }
  for (std::size_t i = 0; i < args.tensors.host.size(); ++i) {
    const MsqTensor& tensor = args.tensors.host.data()[i];
    const std::int64_t count = chunks_of(tensor.numel);
    if (tensor.bits > 0) {
      step_scale(partials, count, args.rule, tensor.decay.scale, learning_rate, args.scales + i,
                 args.scale_momentum + i);
      if (args.scales[i] < kSmallestMsqScale) args.scales[i] = kSmallestMsqScale;  // a NaN stays one
    }
    partials += count;
  }
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
