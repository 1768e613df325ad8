// Weights on DoReFa's grid: every tensor of a network, sixteen weights at a time. Compiled without fused operations
// (cmake/SimdVariants.cmake), so that levels are those of a file.
#include "kernels/cpu/simd/variant.h"
#include "kernels/cpu/simd/weight_chunks.h"
#include "kernels/dorefa_tanh.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

/// dorefa_tanh() of sixteen numbers.
BSQ_LANES_INLINE FloatLanes tanh_of(FloatLanes x) {
  const FloatLanes bounded = at_least(at_most(x, broadcast(kTanhLimit)), broadcast(-kTanhLimit));
  const FloatLanes square = bounded * bounded;
  FloatLanes numerator{}, denominator{};
  for (const float coefficient : kTanhNumerator) numerator = numerator * square + coefficient;
  for (const float coefficient : kTanhDenominator) denominator = denominator * square + coefficient;
  return at_least(at_most(bounded * numerator / denominator, broadcast(1.0F)), broadcast(-1.0F));
}

BSQ_LANES_INLINE float divisor(const DorefaPeak& peak) {
  return peak.height > 0 ? peak.height : 1.0F;
}

/// What the chunks of a tensor leave for one another.
union ChunkPart {
  DorefaPeak peak;
  double sum;  // dW h
};

/// The largest |tanh v| of a chunk, and the first place of it, counted from the tensor's first weight.
DorefaPeak peak_of(const float* v, const Chunk& chunk) {
  FloatLanes highest{};
  IntLanes first{};
  IntLanes place;
  for (int lane = 0; lane < kLanes; ++lane) place[lane] = static_cast<std::int32_t>(chunk.begin) + lane;
  for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
    const FloatLanes height = magnitude(tanh_of(load_lanes<Full>(v + at, count)));
    const auto is_higher = height > highest;
    highest = is_higher ? height : highest;
    first = is_higher ? place : first;
    place += kLanes;
  });
  DorefaPeak peak;
  for (int lane = 0; lane < kLanes; ++lane)
    if (highest[lane] > peak.height || (highest[lane] == peak.height && highest[lane] > 0 && first[lane] < peak.index))
      peak = {highest[lane], first[lane]};
  return peak;
}

void find_peaks(const DorefaForwardArgs& args) {
  auto* parts = static_cast<ChunkPart*>(args.scratch);
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    parts[index].peak = peak_of(args.v + args.tensors.device[chunk.tensor].weight_offset, chunk);
  }
  for (std::size_t t = 0; t < args.tensors.host.size(); ++t) {
    const std::int64_t count = chunks_of(args.tensors.host.data()[t].numel);
    DorefaPeak peak;
    for (std::int64_t chunk = 0; chunk < count; ++chunk)
      if (parts[chunk].peak.height > peak.height) peak = parts[chunk].peak;
    args.peaks[t] = peak;
    parts += count;
  }
}

/// Steps the weights of a chunk by their own gradients; returns its part of sum(dW h), of the gradient as it is stored.
template <bool Nesterov>
double step_chunk(const DorefaStepArgs& args, const DorefaTensor& tensor, float to_ratio, const Chunk& chunk) {
  const float learning_rate = args.inputs->learning_rate;
  const float decay = decay_of(args.rule, tensor.decays);
  FloatLanes sum{};
  for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
    float* target = args.v + tensor.weight_offset + at;
    const FloatLanes value = load_lanes<Full>(target, count);
    const FloatLanes d_weight = load_lanes<Full>(args.d_weights + tensor.weight_offset + at, count);
    const FloatLanes h = tanh_of(value);
    sum += d_weight * h;
    const FloatLanes gradient = to_ratio * d_weight * (1.0F - h * h);
    const FloatLanes moved =
        momentum_step<Nesterov, Full>(gradient + decay * value, value, args.momentum + tensor.weight_offset + at, count,
                                      args.rule.momentum, learning_rate);
    store_lanes<Full>(target, moved, count);
  });
  return sum_of(sum);
}

/// The weight that makes T, whose gradient has a term of all others.
struct PeakWeight {
  float v = 0;
  float momentum = 0;
};

void step_peak(const DorefaStepArgs& args, std::size_t t, const PeakWeight& before, float to_ratio, double sum) {
  const DorefaTensor& tensor = args.tensors.host.data()[t];
  const DorefaPeak& peak = args.peaks[t];
  const std::int64_t at = tensor.weight_offset + peak.index;
  const float h = tanh_of(broadcast(before.v))[0];
  const double of_others = (h < 0 ? -sum : sum) / static_cast<double>(divisor(peak));
  const auto d_weight = static_cast<float>(static_cast<double>(args.d_weights[at]) - of_others);
  const float gradient = to_ratio * d_weight * (1.0F - h * h);
  args.v[at] = before.v;
  args.momentum[at] = before.momentum;
  dispatch_momentum(args.rule, [&]<bool Nesterov>() {
    step_number<Nesterov>(gradient, decay_of(args.rule, tensor.decays), args.rule.momentum, args.inputs->learning_rate,
                          args.v + at, args.momentum + at);
  });
}

/// s / T of a gradient as it is stored.
BSQ_LANES_INLINE float factor_of(const DorefaTensor& tensor, const DorefaPeak& peak) {
  const auto levels = static_cast<float>((1 << tensor.bits) - 1);
  return gradient_factors(tensor.storage, tensor.scale, levels).to_u / divisor(peak);
}

}  // namespace

std::size_t dorefa_scratch_bytes(const DeviceTable<DorefaTensor>& tensors) {
  return static_cast<std::size_t>(total_chunks(tensors.host)) * sizeof(ChunkPart) +
         tensors.host.size() * sizeof(PeakWeight);
}

void weights_from_dorefa(const DorefaForwardArgs& args) {
  find_peaks(args);
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    const DorefaTensor& tensor = args.tensors.device[chunk.tensor];
    const auto levels = static_cast<float>((1 << tensor.bits) - 1);
    const float height = divisor(args.peaks[chunk.tensor]);
    for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t at, int count) {
      const FloatLanes ratio = tanh_of(load_lanes<Full>(args.v + tensor.weight_offset + at, count)) / height;
      const FloatLanes level = 2.0F * round_half_even((ratio * 0.5F + 0.5F) * levels) - levels;
      store_weights<Full>(tensor, args.weights, at, level, tensor.scale, levels, count);
    });
    if (tensor.storage != WeightStorage::values && chunk.begin == 0)
      args.weight_units[chunk.tensor] = tensor.scale / levels;
  }
}

void dorefa_step(const DorefaStepArgs& args) {
  const std::int64_t chunks = total_chunks(args.tensors.host);
  auto* parts = static_cast<ChunkPart*>(args.scratch);
  auto* before = reinterpret_cast<PeakWeight*>(parts + chunks);
  for (std::size_t t = 0; t < args.tensors.host.size(); ++t) {
    const std::int64_t at = args.tensors.host.data()[t].weight_offset + args.peaks[t].index;
    before[t] = {args.v[at], args.momentum[at]};
  }
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    const DorefaTensor& tensor = args.tensors.host.data()[chunk.tensor];
    const float to_ratio = factor_of(tensor, args.peaks[chunk.tensor]);
    dispatch_momentum(args.rule,
                      [&]<bool Nesterov>() { parts[index].sum = step_chunk<Nesterov>(args, tensor, to_ratio, chunk); });
  }
  for (std::size_t t = 0; t < args.tensors.host.size(); ++t) {
    const DorefaTensor& tensor = args.tensors.host.data()[t];
    const std::int64_t count = chunks_of(tensor.numel);
    double sum = 0;
    for (std::int64_t chunk = 0; chunk < count; ++chunk) sum += parts[chunk].sum;
    if (args.peaks[t].height > 0) step_peak(args, t, before[t], factor_of(tensor, args.peaks[t]), sum);
    parts += count;
  }
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
