// Comparison of tensors with a report that says how far, where and how often; two NaNs are equal.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <set>
#include <string>
#include <vector>

namespace bsq::test {

/// |actual - expected| <= relative * |expected| + absolute.
struct Tolerance {
  double relative = 0;
  double absolute = 0;
};

struct Comparison {
  std::size_t count = 0;
  std::size_t mismatches = 0;
  bool same_size = true;
  double max_absolute = 0;
  double max_relative = 0;
  std::size_t worst_index = 0;  // where the tolerance is exceeded most, or the difference is largest
  double worst_actual = 0;
  double worst_expected = 0;

  bool ok() const { return same_size && mismatches == 0; }
  std::string report() const {
    if (!same_size) return "sizes differ";
    return fmt::format(
        "{} of {} differ too much; max abs {:.3g}, max rel {:.3g}; worst at [{}]: {:.9g}, expected {:.9g}", mismatches,
        count, max_absolute, max_relative, worst_index, worst_actual, worst_expected);
  }
};

inline double root_mean_square(const std::vector<double>& values) {
  double sum = 0;
  std::size_t count = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    sum += value * value;
    ++count;
  }
  return count == 0 ? 0 : std::sqrt(sum / static_cast<double>(count));
}

/// Compares element by element.
inline Comparison compare(const std::vector<double>& actual, const std::vector<double>& expected, Tolerance tolerance) {
  Comparison result;
  result.count = expected.size();
  result.same_size = actual.size() == expected.size();
  double worst_excess = -1;
  for (std::size_t i = 0; result.same_size && i < expected.size(); ++i) {
    if (std::isnan(actual[i]) && std::isnan(expected[i])) continue;
    if (actual[i] == expected[i]) continue;  // infinities too
    const double difference = std::fabs(actual[i] - expected[i]);
    const double allowed = tolerance.relative * std::fabs(expected[i]) + tolerance.absolute;
    if (!(difference <= allowed)) ++result.mismatches;
    result.max_absolute = std::max(result.max_absolute, difference);
    if (expected[i] != 0) result.max_relative = std::max(result.max_relative, difference / std::fabs(expected[i]));
    const double excess = std::isnan(difference) ? HUGE_VAL : difference / std::max(allowed, 1e-300);
    if (excess > worst_excess) {
      worst_excess = excess;
      result.worst_index = i;
      result.worst_actual = actual[i];
      result.worst_expected = expected[i];
    }
  }
  return result;
}

inline Comparison compare_exactly(const std::vector<double>& actual, const std::vector<double>& expected) {
  return compare(actual, expected, {});
}

/// The tolerance is `relative` times the element plus `relative` times the root mean square of the tensor, or times
/// `scale` if that is larger: for results that are differences of terms that cancel, `scale` is the size of the terms.
inline Comparison compare_scaled(const std::vector<double>& actual, const std::vector<double>& expected,
                                 double relative, double scale = 0) {
  return compare(actual, expected, {relative, relative * std::max(scale, root_mean_square(expected))});
}

/// ||actual - expected|| / ||expected||.
inline double norm_relative_error(const std::vector<double>& actual, const std::vector<double>& expected) {
  std::vector<double> difference(expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) difference[i] = actual.at(i) - expected[i];
  return root_mean_square(difference) / std::max(root_mean_square(expected), 1e-300);
}

/// Values on a grid. `levels[i]` is the expected value in levels before it was rounded, `steps[i]` the distance of two
/// levels. Another level is accepted (and counted) only where the value sits within `margin` of the boundary between
/// the two; everything else is compared as compare_scaled does. Equal values fall on the same side, and count once.
struct GridComparison {
  Comparison rest;
  std::size_t at_boundary = 0;
};

inline GridComparison compare_on_grid(const std::vector<double>& actual, std::vector<double> expected,
                                      const std::vector<double>& levels, const std::vector<double>& steps,
                                      double margin, double relative) {
  GridComparison result;
  std::set<double> at_boundary;
  for (std::size_t i = 0; i < expected.size() && i < actual.size(); ++i) {
    const double fraction = std::fabs(levels.at(i)) - std::floor(std::fabs(levels.at(i)));
    const double difference = std::fabs(actual[i] - expected[i]);
    const bool next_level = std::fabs(difference - steps.at(i)) <= 0.1 * steps.at(i);
    if (std::fabs(fraction - 0.5) > margin || !next_level) continue;
    expected[i] = actual[i];
    at_boundary.insert(levels[i]);
  }
  result.at_boundary = at_boundary.size();
  result.rest = compare_scaled(actual, expected, relative);
  return result;
}

}  // namespace bsq::test
