#include "tests/golden/comparison.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bsq::golden {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double relative(double error, double magnitude) {
  return magnitude > 0 ? error / magnitude : error;
}

}  // namespace

void Comparison::check(const std::string& name, double error, double tolerance) {
  rows_.push_back({name, error, tolerance});
}

void Comparison::note(const std::string& text) {
  notes_.push_back(text);
}

void Comparison::print() const {
  std::size_t width = 4;
  for (const Row& row : rows_) width = std::max(width, row.name.size());
  fmt::print("{:<{}}  {:>10}  {:>10}\n", "name", width, "error", "tolerance");
  for (const Row& row : rows_) {
    fmt::print("{:<{}}  {:>10.3g}  {:>10.3g}  {}\n", row.name, width, row.error, row.tolerance,
               row.passed() ? "pass" : "FAIL");
  }
  for (const std::string& note : notes_) fmt::print("{}\n", note);
  fmt::print("{} of {} comparisons failed\n", failures(), rows_.size());
}

bool Comparison::passed() const {
  return !rows_.empty() && failures() == 0;
}

std::size_t Comparison::failures() const {
  return static_cast<std::size_t>(
      std::count_if(rows_.begin(), rows_.end(), [](const Row& row) { return !row.passed(); }));
}

double count_different(std::span<const float> actual, std::span<const float> expected) {
  if (actual.size() != expected.size()) return kInfinity;
  double count = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) count += actual[i] == expected[i] ? 0 : 1;
  return count;
}

double largest_error(std::span<const float> actual, std::span<const float> expected) {
  if (actual.size() != expected.size()) return kInfinity;
  double difference = 0;
  double magnitude = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = std::abs(double{actual[i]} - double{expected[i]});
    if (std::isnan(error)) return error;
    difference = std::max(difference, error);
    magnitude = std::max(magnitude, std::abs(double{expected[i]}));
  }
  return relative(difference, magnitude);
}

double norm_error(std::span<const float> actual, std::span<const float> expected) {
  if (actual.size() != expected.size()) return kInfinity;
  double difference = 0;
  double magnitude = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = double{actual[i]} - double{expected[i]};
    difference += error * error;
    magnitude += double{expected[i]} * double{expected[i]};
  }
  return relative(std::sqrt(difference), std::sqrt(magnitude));
}

double relative_error(double actual, double expected) {
  return std::abs(actual - expected) / std::abs(expected);
}

}  // namespace bsq::golden
