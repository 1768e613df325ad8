// Bit planes: every tensor of a network in one pass, sixteen weights at a time.
//
// u (2^n - 1) = sum_b 2^(n-1-b) (p_b - n_b) is summed with powers of two, so that exact 0/1 planes give exact integers.
// A chunk has partial sums: one per plane, one for the scale. A step leaves the weights for the next one.
#include "kernels/cpu/simd/variant.h"
#include "kernels/cpu/simd/weight_chunks.h"

#include <cmath>

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

constexpr float kNormEpsilon = 1e-8F;  // under the root of the group penalty

/// Calls body<Bits>() for bits in 1..8.
template <typename Body>
BSQ_LANES_INLINE void dispatch_bits(int bits, Body body) {
  switch (bits) {
    case 1: return body.template operator()<1>();
    case 2: return body.template operator()<2>();
    case 3: return body.template operator()<3>();
    case 4: return body.template operator()<4>();
    case 5: return body.template operator()<5>();
    case 6: return body.template operator()<6>();
    case 7: return body.template operator()<7>();
    default: return body.template operator()<8>();
  }
}

/// Adds (p - n) 2^(n-1-b) to u levels, and p^2 + n^2 to the squares of the plane: the larger number first, so that they
/// are the same, bit for bit, where p and n change places.
template <int Bits>
BSQ_LANES_INLINE void add_plane(FloatLanes positive, FloatLanes negative, int bit, FloatLanes& scaled,
                                FloatLanes& squares) {
  scaled += (positive - negative) * static_cast<float>(1 << (Bits - 1 - bit));
  const FloatLanes larger = positive < negative ? negative : positive;
  const FloatLanes smaller = positive < negative ? positive : negative;
  squares += larger * larger + smaller * smaller;
}

template <int Bits>
void reconstruct_chunk(const PlaneTensor& tensor, const float* planes, float* weights, float scale, const Chunk& chunk,
                       double* norm_partials) {
  constexpr auto levels = static_cast<float>((1 << Bits) - 1);
  const float* p = planes + tensor.plane_offset;
  const float* n = p + Bits * tensor.numel;
  FloatLanes squares[Bits] = {};
  for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t index, int count) {
    FloatLanes scaled{};
    for (int bit = 0; bit < Bits; ++bit)
      add_plane<Bits>(load_lanes<Full>(p + bit * tensor.numel + index, count),
                      load_lanes<Full>(n + bit * tensor.numel + index, count), bit, scaled, squares[bit]);
    store_weights<Full>(tensor, weights, index, level_of(scaled, levels), scale, levels, count);
  });
  for (int bit = 0; bit < Bits; ++bit) norm_partials[bit] = sum_of(squares[bit]);
}

/// Steps and stores sixteen weights of a plane; returns their new values.
template <bool Nesterov, bool Full>
BSQ_LANES_INLINE FloatLanes step_plane(FloatLanes gradient, FloatLanes value, float* plane, float* velocity, int count,
                                       float momentum, float learning_rate) {
  const FloatLanes moved = momentum_step<Nesterov, Full>(gradient, value, velocity, count, momentum, learning_rate);
  const FloatLanes clamped = at_most(at_least(moved, FloatLanes{}), broadcast(2.0F));
  store_lanes<Full>(plane, clamped, count);
  return clamped;
}

template <int Bits, bool Nesterov>
double step_chunk(const PlanesStepArgs& args, const PlaneTensor& tensor, float scale, const Chunk& chunk,
                  double* norm_partials) {
  constexpr auto levels = static_cast<float>((1 << Bits) - 1);
  const float* d_weights = args.d_weights + tensor.weight_offset;
  float* p = args.planes + tensor.plane_offset;
  float* n = p + Bits * tensor.numel;
  float* p_momentum = args.plane_momentum + tensor.plane_offset;
  float* n_momentum = p_momentum + Bits * tensor.numel;
  float pull[Bits];  // gradient of penalty and decay, per unit of x
  const float alpha = args.inputs->method.data()[0];
  const float decay = decay_of(args.rule, tensor.decay.weights);
  for (int bit = 0; bit < Bits; ++bit)
    pull[bit] = alpha * tensor.penalty_weight / args.plane_norms[tensor.first_plane + bit] + decay;
  const float learning_rate = args.inputs->learning_rate;
  const GradientFactors factors = gradient_factors(tensor.storage, scale, levels);
  FloatLanes d_scale{};
  FloatLanes squares[Bits] = {};  // of the new planes
  for_lanes(chunk.begin, chunk.end, [&]<bool Full>(std::int64_t index, int count) {
    const FloatLanes d_weight = load_lanes<Full>(d_weights + index, count);
    const FloatLanes d_scaled = d_weight * (factors.to_u / levels);  // dL / d(u levels)
    FloatLanes scaled{};
    FloatLanes next_scaled{};
    for (int bit = 0; bit < Bits; ++bit) {
      const std::int64_t at = bit * tensor.numel + index;
      const auto weight = static_cast<float>(1 << (Bits - 1 - bit));
      const FloatLanes positive = load_lanes<Full>(p + at, count);
      const FloatLanes negative = load_lanes<Full>(n + at, count);
      scaled += (positive - negative) * weight;
      const FloatLanes slope = d_scaled * weight;
      const FloatLanes new_p = step_plane<Nesterov, Full>(slope + pull[bit] * positive, positive, p + at,
                                                          p_momentum + at, count, args.rule.momentum, learning_rate);
      const FloatLanes new_n = step_plane<Nesterov, Full>(pull[bit] * negative - slope, negative, n + at,
                                                          n_momentum + at, count, args.rule.momentum, learning_rate);
      add_plane<Bits>(new_p, new_n, bit, next_scaled, squares[bit]);
    }
    d_scale += level_of(scaled, levels) / levels * d_weight;
    if (tensor.storage != WeightStorage::values)  // values have to wait for their scale
      store_weights<Full>(tensor, args.weights, index, level_of(next_scaled, levels), 0.0F, levels, count);
  });
  for (int bit = 0; bit < Bits; ++bit) norm_partials[bit] = sum_of(squares[bit]);
  return sum_of(d_scale) * static_cast<double>(factors.to_true);
}

/// Makes the norms of all planes from the squares of the chunks, `kMaxBits` per chunk, and the units from the scales.
/// Returns the penalty.
double finish_tensors(std::span<const PlaneTensor> tensors, const double* norm_partials, const float* scales,
                      float* plane_norms, float* weight_units) {
  double penalty = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const PlaneTensor& tensor = tensors.data()[i];
    for (int bit = 0; bit < tensor.bits; ++bit) {
      double squares = 0;
      for (std::int64_t chunk = 0; chunk < chunks_of(tensor.numel); ++chunk)
        squares += norm_partials[chunk * kMaxBits + bit];
      const double norm = std::sqrt(static_cast<double>(kNormEpsilon) + squares);
      plane_norms[tensor.first_plane + bit] = static_cast<float>(norm);
      penalty += static_cast<double>(tensor.penalty_weight) * norm;
    }
    if (tensor.storage != WeightStorage::values)
      weight_units[i] = scales[i] / static_cast<float>((1 << tensor.bits) - 1);
    norm_partials += chunks_of(tensor.numel) * kMaxBits;
  }
  return penalty;
}

/// Writes the weights that step_chunk has left out, since their scale is in every one. With Nesterov's momentum all of
/// them, and their norms: its loops may round sums of squares in another way than reconstruct_chunk, and a run that is
/// resumed begins with the latter's.
void write_rest(const PlanesStepArgs& args, double* norm_partials) {
  for (std::size_t i = 0; i < args.tensors.host.size(); ++i) {
    const PlaneTensor& tensor = args.tensors.host.data()[i];
    const std::int64_t chunks = chunks_of(tensor.numel);
    if (tensor.storage == WeightStorage::values || args.rule.nesterov) {
#pragma omp parallel for schedule(static) if (chunks > 1)
      for (std::int64_t index = 0; index < chunks; ++index) {
        const Chunk chunk = chunk_of(tensor, static_cast<std::int64_t>(i), index);
        double unused[kMaxBits];
        double* norms = args.rule.nesterov ? norm_partials + index * kMaxBits : unused;
        dispatch_bits(tensor.bits, [&]<int Bits>() {
          reconstruct_chunk<Bits>(tensor, args.planes, args.weights, args.scales[i], chunk, norms);
        });
      }
    }
    norm_partials += chunks * kMaxBits;
  }
}

}  // namespace

std::size_t planes_scratch_bytes(const DeviceTable<PlaneTensor>& tensors) {
  return static_cast<std::size_t>(total_chunks(tensors.host)) * (kMaxBits + 1) * sizeof(double);
}

void weights_from_planes(const PlanesForwardArgs& args) {
  auto* partials = static_cast<double*>(args.scratch);
  const std::int64_t chunks = total_chunks(args.tensors.host);
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    const PlaneTensor& tensor = args.tensors.host.data()[chunk.tensor];
    dispatch_bits(tensor.bits, [&]<int Bits>() {
      reconstruct_chunk<Bits>(tensor, args.planes, args.weights, args.scales[chunk.tensor], chunk,
                              partials + index * kMaxBits);
    });
  }
  const double penalty = finish_tensors(args.tensors.host, partials, args.scales, args.plane_norms, args.weight_units);
  if (args.penalty != nullptr) *args.penalty = penalty;
}

void planes_step(const PlanesStepArgs& args) {
  const std::int64_t chunks = total_chunks(args.tensors.host);
  auto* norm_partials = static_cast<double*>(args.scratch);
  double* partials = norm_partials + chunks * kMaxBits;  // of the scales' gradients
#pragma omp parallel for schedule(static)
  for (std::int64_t index = 0; index < chunks; ++index) {
    const Chunk chunk = find_chunk(args.tensors.host, index);
    const PlaneTensor& tensor = args.tensors.host.data()[chunk.tensor];
    dispatch_bits(tensor.bits, [&]<int Bits>() {
      dispatch_momentum(args.rule, [&]<bool Nesterov>() {
        partials[index] = step_chunk<Bits, Nesterov>(args, tensor, args.scales[chunk.tensor], chunk,
                                                     norm_partials + index * kMaxBits);
      });
    });
  }
  for (std::size_t i = 0; i < args.tensors.host.size(); ++i) {
    const PlaneTensor& tensor = args.tensors.host.data()[i];
    const std::int64_t count = chunks_of(tensor.numel);
    step_scale(partials, count, args.rule, tensor.decay.scale, args.inputs->learning_rate, args.scales + i,
               args.scale_momentum + i);
    partials += count;
  }
  if (args.metrics != nullptr) args.metrics[args.inputs->metrics_slot].penalty = *args.penalty;
  write_rest(args, norm_partials);
  *args.penalty = finish_tensors(args.tensors.host, norm_partials, args.scales, args.plane_norms, args.weight_units);
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
