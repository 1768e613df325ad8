#include "engine/methods/bsq/bit_planes.h"

#include "kernels/base/error.h"
#include "kernels/published_rounding.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace bsq {
namespace {

using published::max_level;

void require_bits(int bits) {
  require(1 <= bits && bits <= kMaxBits, "bit planes: {} bits, must be 1..{}", bits, kMaxBits);
}

void require_consistent(const BitPlanes& planes) {
  require_bits(planes.bits);
  const auto size = static_cast<std::size_t>(planes.bits * planes.numel);
  require(planes.numel > 0 && planes.p.size() == size && planes.n.size() == size,
          "bit planes: {} and {} values for {} bits of {} weights", planes.p.size(), planes.n.size(), planes.bits,
          planes.numel);
}

/// scale * numerator / denominator, rounded after each as the published code does.
float rescaled(float scale, int numerator, int denominator) {
  return scale * static_cast<float>(numerator) / static_cast<float>(denominator);
}

/// u = sum_b c_b (p_b - n_b), not clamped.
std::vector<float> normalised_sum(const BitPlanes& planes) {
  const auto numel = static_cast<std::size_t>(planes.numel);
  std::vector<float> sum(numel);
  for (const int plane : published::summation_order(planes.bits)) {
    if (plane >= planes.bits) continue;
    const float coefficient = published::coefficient(planes.bits, plane);
    const float* p = planes.p.data() + plane * planes.numel;
    const float* n = planes.n.data() + plane * planes.numel;
    for (std::size_t i = 0; i < numel; ++i) sum[i] += (p[i] - n[i]) * coefficient;
  }
  return sum;
}

BitPlanes planes_from_levels(std::span<const int> levels, int bits, float scale) {
  const std::size_t numel = levels.size();
  const std::size_t size = static_cast<std::size_t>(bits) * numel;
  BitPlanes planes{bits, scale, static_cast<std::int64_t>(numel), std::vector<float>(size), std::vector<float>(size)};
  for (std::size_t i = 0; i < numel; ++i) {
    std::vector<float>& side = levels[i] > 0 ? planes.p : planes.n;
    const int magnitude = std::abs(levels[i]);
    for (int plane = 0; plane < bits; ++plane) {
      side[static_cast<std::size_t>(plane) * numel + i] = static_cast<float>((magnitude >> (bits - 1 - plane)) & 1);
    }
  }
  return planes;
}

/// Erases the first `count` planes of one side. If `fold`, the last of them is added to every plane that stays.
void drop_leading_planes(std::vector<float>& side, std::size_t numel, std::size_t count, bool fold, float ceiling) {
  const std::vector<float> last(side.begin() + static_cast<std::ptrdiff_t>((count - 1) * numel),
                                side.begin() + static_cast<std::ptrdiff_t>(count * numel));
  side.erase(side.begin(), side.begin() + static_cast<std::ptrdiff_t>(count * numel));
  if (!fold) return;
  for (std::size_t i = 0; i < side.size(); ++i) side[i] = std::min(side[i] + last[i % numel], ceiling);
}

void drop_most_significant(BitPlanes& planes, double threshold_percent, int least_bits) {
  const std::vector<double> density = plane_density_percent(planes);
  const auto least = static_cast<std::size_t>(least_bits);
  std::size_t count = 0;
  while (count + least < density.size() && (density[count] == 0 || density[count] < threshold_percent)) ++count;
  if (count == 0) return;
  planes.bits -= static_cast<int>(count);
  const bool fold = density[count - 1] > 0;
  // The published code clips at 1, unless a single plane is left, which may hold a 2. The forward pass clamps it to 1.
  const float ceiling = planes.bits == 1 ? 2.0F : 1.0F;
  const auto numel = static_cast<std::size_t>(planes.numel);
  drop_leading_planes(planes.p, numel, count, fold, ceiling);
  drop_leading_planes(planes.n, numel, count, fold, ceiling);
}

void drop_least_significant(BitPlanes& planes, double threshold_percent, int least_bits) {
  const std::vector<double> density = plane_density_percent(planes);
  while (planes.bits > least_bits && density[static_cast<std::size_t>(planes.bits) - 1] <= threshold_percent) {
    --planes.bits;
    planes.scale *= 2.0F;
  }
  planes.p.resize(static_cast<std::size_t>(planes.bits * planes.numel));
  planes.n.resize(planes.p.size());
}

}  // namespace

BitPlanes planes_from_float(std::span<const float> weights, int bits) {
  require_bits(bits);
  float scale = 0;
  for (const float weight : weights) {
    if (!std::isfinite(weight))
      fail(ErrorKind::diverged, "bit planes: a weight is {}; only finite ones have bits", weight);
    scale = std::max(scale, std::abs(weight));
  }
  std::vector<int> levels(weights.size());
  if (scale > 0) {
    const auto steps = static_cast<float>(max_level(bits));
    std::transform(weights.begin(), weights.end(), levels.begin(), [scale, steps](float weight) {
      return static_cast<int>(std::clamp(std::nearbyint(weight * steps / scale), -steps, steps));
    });
  }
  return planes_from_levels(levels, bits, scale);
}

std::vector<int> integer_levels(const BitPlanes& planes) {
  require_consistent(planes);
  return clamped_levels(normalised_sum(planes), planes.bits);
}

std::vector<float> effective_weights(const BitPlanes& planes) {
  return grid_weights(integer_levels(planes), planes.bits, planes.scale);
}

BitPlanes planes_from_levels(const Levels& levels) {
  require(levels.low == -levels.high && levels.unit.size() == 1, "bit planes hold symmetric levels with one unit");
  return planes_from_levels(levels.k, std::max(levels.bits, 1), scale_of(levels));
}

void requantize(BitPlanes& planes, int max_bits) {
  require_consistent(planes);
  require_bits(max_bits);
  const std::vector<float> u = normalised_sum(planes);
  std::vector<int> levels(u.size());
  int largest = 0;
  for (std::size_t i = 0; i < u.size(); ++i) {
    levels[i] = nearest_level(u[i], planes.bits);
    largest = std::max(largest, std::abs(levels[i]));
  }
  int bits = planes.bits;
  float scale = planes.scale;
  if (bits < max_bits && largest > max_level(bits)) {
    scale = rescaled(scale, max_level(bits + 1), max_level(bits));
    ++bits;
  }
  for (int& level : levels) level = std::clamp(level, -max_level(bits), max_level(bits));
  planes = planes_from_levels(levels, bits, scale);
}

void adjust_precision(BitPlanes& planes, double threshold_percent, int least_bits) {
  require_consistent(planes);
  if (planes.bits <= least_bits) return;
  const int bits_before = planes.bits;
  drop_most_significant(planes, threshold_percent, least_bits);
  drop_least_significant(planes, threshold_percent, least_bits);
  if (planes.bits == bits_before) return;
  planes.scale = rescaled(planes.scale, max_level(planes.bits), max_level(bits_before));
}

void remove_least_significant(BitPlanes& planes) {
  require(planes.bits > 1, "bit planes: the last plane stays");
  std::vector<int> levels = integer_levels(planes);
  const int largest = max_level(planes.bits - 1);
  for (int& level : levels)
    level = std::clamp(static_cast<int>(std::nearbyint(0.5F * static_cast<float>(level))), -largest, largest);
  planes = planes_from_levels(levels, planes.bits - 1, rescaled(2.0F * planes.scale, largest, max_level(planes.bits)));
}

double removal_cost(const BitPlanes& planes) {
  double odd = 0, squares = 0;
  for (const int level : integer_levels(planes)) {
    odd += level & 1;
    squares += 1.0 * level * level;
  }
  return squares > 0 ? odd / squares : 0;
}

void turn(BitPlanes& planes) {
  std::swap(planes.p, planes.n);
  planes.scale = 0.0F - planes.scale;  // and no -0
}

std::vector<double> plane_density_percent(const BitPlanes& planes) {
  require_consistent(planes);
  std::vector<double> density(static_cast<std::size_t>(planes.bits));
  for (std::size_t plane = 0; plane < density.size(); ++plane) {
    const float* p = planes.p.data() + plane * static_cast<std::size_t>(planes.numel);
    const float* n = planes.n.data() + plane * static_cast<std::size_t>(planes.numel);
    std::int64_t non_zero = 0;
    for (std::int64_t i = 0; i < planes.numel; ++i) non_zero += p[i] != n[i];
    density[plane] = static_cast<double>(100 * non_zero) / static_cast<double>(planes.numel);
  }
  return density;
}

bool is_empty(const BitPlanes& planes) {
  return planes.p == planes.n;
}

}  // namespace bsq
