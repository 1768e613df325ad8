// A gradient against central differences of the loss that it belongs to.
#pragma once

#include "tests/support/catch.h"
#include "tests/support/compare.h"
#include "tests/support/random_tensors.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace bsq::test {

/// The dot product in double: the loss of most tests, of an output and its given gradient.
template <typename T>
double dot(const std::vector<T>& values, const std::vector<float>& weights) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) sum += double{values[i]} * double{weights.at(i)};
  return sum;
}

/// d loss / d x[index], numerically; nothing to skip the coordinate.
using Difference = std::function<std::optional<double>(std::size_t index)>;

/// `slope(h)` is the slope between the points at -h and at h: its error is of order h^2. Two such slopes give one whose
/// error is of order h^4, so that the step may be larger and rounding counts for less.
template <typename Slope>
double fourth_order(const Slope& slope, float step) {
  return (4 * slope(step) - slope(2 * step)) / 3;
}

enum class ErrorOrder { second, fourth };  // of a difference, in its step

/// Central difference of `loss` in one coordinate of x. The distance is what float32 made of 2 * step.
inline Difference central_difference(std::span<float> x, float step, std::function<double()> loss,
                                     ErrorOrder order = ErrorOrder::second) {
  return [x, step, loss = std::move(loss), order](std::size_t index) {
    const float before = x[index];
    const auto slope = [&](float reach) {
      x[index] = before + reach;
      const double above = loss();
      const double distance = double{x[index]} - double{before - reach};
      x[index] = before - reach;
      const double below = loss();
      x[index] = before;
      return (above - below) / distance;
    };
    return order == ErrorOrder::second ? slope(step) : fourth_order(slope, step);
  };
}

/// The slopes that a gradient gives against those that were measured.
inline void check_slopes(const std::string& name, const std::vector<double>& actual,
                         const std::vector<double>& expected, Tolerance tolerance) {
  const Comparison comparison = compare(actual, expected, tolerance);
  INFO(name << ": " << comparison.report());
  CHECK(comparison.ok());
}

constexpr std::size_t kEveryCoordinate = std::numeric_limits<std::size_t>::max();

/// Checks every coordinate, or `samples` drawn at random if there are more. At least half of them must not be skipped.
/// `tolerance` is relative to the coordinate's difference, and to the root mean square of the gradient.
inline void check_gradient(const std::string& name, const std::vector<double>& gradient, const Difference& difference,
                           double tolerance, std::size_t samples = 60) {
  std::vector<std::size_t> coordinates(std::min(samples, gradient.size()));
  std::iota(coordinates.begin(), coordinates.end(), std::size_t{0});
  if (gradient.size() > samples) {
    const auto drawn = RandomTensors("coordinates")
                           .integers(static_cast<std::int64_t>(samples), static_cast<std::uint32_t>(gradient.size()));
    coordinates.assign(drawn.begin(), drawn.end());
  }
  std::vector<double> expected;
  std::vector<double> actual;
  for (const std::size_t index : coordinates) {
    const std::optional<double> numeric = difference(index);
    if (!numeric) continue;
    expected.push_back(*numeric);
    actual.push_back(gradient[index]);
  }
  check_slopes(name, actual, expected, {tolerance, tolerance * root_mean_square(gradient)});
  CHECK(2 * expected.size() >= coordinates.size());
}

}  // namespace bsq::test
