// Counting bits: one block of weights at a time, whose sums stay in the first cache while its planes are read.
#include "kernels/weight_counts.h"

#include "kernels/published_rounding.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

constexpr std::int64_t kBlock = 1024;

/// The level of u after clamping; a NaN stays one.
float clamped_level(float u, int bits) {
  return published::nearest_level(std::clamp(u, -1.0F, 1.0F), bits);
}

void count_weight(float level, int bits, float scale, WeightCounts& counts) {
  counts.nans += std::isnan(level) ? 1 : 0;
  counts.evens += published::is_even(level) ? 1 : 0;
  counts.zeros += published::effective_weight(level, bits, scale) == 0.0F ? 1 : 0;
}

}  // namespace

WeightCounts count_weights(const PlaneTensor& tensor, const float* planes, float scale) {
  WeightCounts counts;
  for (std::int64_t begin = 0; begin < tensor.numel; begin += kBlock) {
    const std::int64_t size = std::min(kBlock, tensor.numel - begin);
    float sums[kBlock] = {};
    for (const int plane : published::summation_order(tensor.bits)) {
      if (plane >= tensor.bits) continue;
      const float coefficient = published::coefficient(tensor.bits, plane);
      const float* p = planes + tensor.plane_offset + plane * tensor.numel + begin;
      const float* n = p + tensor.bits * tensor.numel;
      std::int64_t ones = 0;
      for (std::int64_t i = 0; i < size; ++i) {
        sums[i] += (p[i] - n[i]) * coefficient;
        ones += p[i] != n[i] ? 1 : 0;
      }
      counts.ones[static_cast<std::size_t>(plane)] += ones;
    }
    for (std::int64_t i = 0; i < size; ++i)
      count_weight(clamped_level(sums[i], tensor.bits), tensor.bits, scale, counts);
  }
  return counts;
}

WeightCounts count_weights(const FixedTensor& tensor, const float* u, float scale) {
  if (tensor.bits == 0) return {.zeros = tensor.numel, .evens = tensor.numel};
  WeightCounts counts;
  for (std::int64_t i = 0; i < tensor.numel; ++i) {
    const float level = clamped_level(u[tensor.weight_offset + i], tensor.bits);
    count_weight(level, tensor.bits, scale, counts);
    if (std::isnan(level)) continue;
    const int magnitude = std::abs(static_cast<int>(level));
    for (int plane = 0; plane < tensor.bits; ++plane)
      counts.ones[static_cast<std::size_t>(plane)] += magnitude >> (tensor.bits - 1 - plane) & 1;
  }
  return counts;
}

}  // namespace bsq
