// What was compared: one row a quantity, its error beside its tolerance. Every row is printed, failed or not.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace bsq::golden {

class Comparison {
 public:
  /// Passes where error <= tolerance; NaN fails.
  void check(const std::string& name, double error, double tolerance);
  /// A remark of its own line; changes no result.
  void note(const std::string& text);

  /// The table and its last line, "N of M comparisons failed".
  void print() const;
  /// False as well where nothing was compared.
  bool passed() const;

 private:
  struct Row {
    std::string name;
    double error = 0;
    double tolerance = 0;
    bool passed() const { return error <= tolerance; }
  };
  std::size_t failures() const;

  std::vector<Row> rows_;
  std::vector<std::string> notes_;
};

/// Measures of error. Sizes that differ are an infinite error.
/// How many elements differ.
double count_different(std::span<const float> actual, std::span<const float> expected);
/// The largest difference over the largest expected value; absolute where all of `expected` is zero.
double largest_error(std::span<const float> actual, std::span<const float> expected);
/// The norm of the difference over the norm of `expected`; absolute where all of `expected` is zero.
double norm_error(std::span<const float> actual, std::span<const float> expected);

/// |actual - expected| / |expected|.
double relative_error(double actual, double expected);

}  // namespace bsq::golden
