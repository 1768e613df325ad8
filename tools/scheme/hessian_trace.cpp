#include "tools/scheme/hessian_trace.h"

#include "kernels/base/error.h"
#include "kernels/random.h"
#include "tools/scheme/apply_scheme.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

/// The distance of a probe, in parts of the weights' root mean square.
constexpr double kDistance = 0.1;

double root_mean_square(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

/// +1 or -1 per weight, 128 signs from each counter.
std::vector<float> random_signs(std::size_t count, const TracePlan& plan, std::size_t layer, int probe) {
  constexpr std::size_t kSigns = 128;
  std::vector<float> signs(count);
  for (std::size_t begin = 0; begin < count; begin += kSigns) {
    const PhiloxCounter bits =
        philox4x32({static_cast<std::uint32_t>(begin / kSigns), static_cast<std::uint32_t>(probe),
                    static_cast<std::uint32_t>(layer), std::uint32_t(RandomStream::probe)},
                   plan.seed);
    for (std::size_t i = begin; i < std::min(begin + kSigns, count); ++i)
      signs[i] = ((bits.at((i - begin) / 32) >> (i % 32)) & 1U) != 0 ? 1.0F : -1.0F;
  }
  return signs;
}

std::vector<float> moved(const std::vector<float>& values, const std::vector<float>& signs, float distance) {
  std::vector<float> result(values);
  for (std::size_t i = 0; i < result.size(); ++i) result[i] += distance * signs[i];
  return result;
}

double squared_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return sum;
}

/// The mean of the samples and its standard error, of which a single sample says nothing.
HessianTrace mean_of(const std::vector<double>& samples) {
  const auto count = static_cast<double>(samples.size());
  double sum = 0, squares = 0;
  for (const double sample : samples) sum += sample;
  const double mean = sum / count;
  for (const double sample : samples) squares += (sample - mean) * (sample - mean);
  HessianTrace found{.trace = mean};
  if (samples.size() > 1) found.error = std::sqrt(squares / (count - 1) / count);
  return found;
}

}  // namespace

void measure_traces(const SensitivityMeasurement& how, const std::vector<SchemeLayer>& layers, const TracePlan& plan,
                    Sensitivity& result) {
  result.probes = plan.probes;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::size_t slot = layers[i].slots.front();
    const std::vector<float> values = how.weights.values(slot);
    const double distance = kDistance * root_mean_square(values);
    const auto loss_at = [&](const std::vector<float>& signs, double step) {
      how.store.set(how.layout.slots[slot], moved(values, signs, static_cast<float>(step)));
      const double loss = how.loss();
      if (!std::isfinite(loss)) fail(ErrorKind::diverged, "a probe of {}: the loss is {}", layers[i].name, loss);
      return loss;
    };
    std::vector<double> samples;
    for (int probe = 0; probe < plan.probes; ++probe) {
      if (distance > 0) {
        const std::vector<float> signs = random_signs(values.size(), plan, i, probe);
        const double curvature = loss_at(signs, distance) - 2 * result.loss + loss_at(signs, -distance);
        samples.push_back(curvature / (distance * distance));
      }
      if (how.measured) how.measured(layers[i].name);
    }
    how.store.set(how.layout.slots[slot], values);
    if (samples.empty()) continue;
    HessianTrace found = mean_of(samples);
    found.weights = std::ssize(values);
    const double mean_curvature = found.trace / static_cast<double>(values.size());
    for (const auto& [width, rise] : result.layers.at(i).rises)
      found.predicted_rises[width] =
          0.5 * mean_curvature * squared_distance(values_under(how.weights, slot, width), values);
    result.layers[i].hessian = std::move(found);
  }
}

}  // namespace bsq
