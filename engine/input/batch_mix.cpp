#include "engine/input/batch_mix.h"

#include "kernels/random.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bsq {
namespace {

/// The random words of a step, one after the other.
class StepDraws {
 public:
  StepDraws(const AugmentKey& key, std::int64_t step) : key_(key), step_(step) {}

  std::uint32_t word() {
    constexpr std::uint32_t kWords = 4;
    if (taken_ % kWords == 0)
      words_ = philox4x32(
          {static_cast<std::uint32_t>(step_), static_cast<std::uint32_t>(key_.epoch), key_.stream, taken_ / kWords},
          key_.seed);
    return words_[taken_++ % kWords];
  }
  /// Uniform in (0, 1].
  double uniform() { return 1 - double{uniform_from_bits(word())}; }
  int below(int bound) { return static_cast<int>(bounded_from_bits(word(), static_cast<std::uint32_t>(bound))); }
  double normal() {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  AugmentKey key_;
  std::int64_t step_;
  std::uint32_t taken_ = 0;
  PhiloxCounter words_{};
};

/// The logarithm of a number of Gamma(alpha, 1): Marsaglia and Tsang, "A simple method for generating gamma variables",
/// 2000; below 1 by their alpha + 1.
double log_gamma_draw(double alpha, StepDraws& draws) {
  if (alpha < 1) return log_gamma_draw(alpha + 1, draws) + std::log(draws.uniform()) / alpha;
  const double d = alpha - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = draws.normal(), root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (std::log(draws.uniform()) < x * x / 2 + d - d * v + d * std::log(v)) return std::log(d * v);
  }
}

/// Of Beta(alpha, alpha).
double beta_draw(double alpha, StepDraws& draws) {
  const double first = log_gamma_draw(alpha, draws), second = log_gamma_draw(alpha, draws);
  return 1 / (1 + std::exp(second - first));
}

BatchMix box_of(double weight, int height, int width, StepDraws& draws) {
  const int row = draws.below(height), column = draws.below(width);
  const double half = std::sqrt(1 - weight) / 2;
  const int half_height = static_cast<int>(half * height), half_width = static_cast<int>(half * width);
  const int top = std::max(row - half_height, 0), left = std::max(column - half_width, 0);
  const int bottom = std::min(row + half_height, height), right = std::min(column + half_width, width);
  const double area = static_cast<double>(bottom - top) * (right - left);
  return {.weight = static_cast<float>(1 - area / (static_cast<double>(height) * width)),
          .cuts = 1,
          .top = top,
          .left = left,
          .height = bottom - top,
          .width = right - left};
}

}  // namespace

BatchMix draw_batch_mix(const Mixing& mixing, int height, int width, const AugmentKey& key, std::int64_t step) {
  if (!mixing.is_on()) return {};
  StepDraws draws(key, step);
  const bool is_second = draws.below(2) == 1;
  const bool cuts = mixing.mixup == 0 || (mixing.cutmix > 0 && is_second);
  const double weight = beta_draw(cuts ? mixing.cutmix : mixing.mixup, draws);
  if (cuts) return box_of(weight, height, width, draws);
  return {.weight = static_cast<float>(weight)};
}

}  // namespace bsq
