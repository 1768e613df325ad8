// Ranges of numbers, the round numbers in them, and their places on a picture.
#pragma once

#include <string>
#include <vector>

namespace bsq::charts {

/// The range of the finite numbers it was given; those beyond +-1e300 count as that.
struct Range {
  double low = 0;
  double high = 0;
  bool empty = true;

  void include(double value);
  void include(const Range& other);
};

Range range_of(double low, double high);

/// A range that can be drawn: 0..1 if nothing was given; with some room around if all numbers are equal (or differ by
/// less than a double can tell apart); else the range itself.
Range drawable(const Range& range);

/// Round numbers, 1, 2 or 5 times a power of ten apart: from the one at or below `low` to the one at or above `high`,
/// or those inside the range alone.
struct Ticks {
  double step = 1;
  std::vector<double> values;

  std::string text(double value) const;  // as many digits as the step needs
};

enum class TickRule { inside, around };

/// Ticks of at most `most` (at least 2) steps; if `whole`, no step is below 1.
Ticks find_ticks(const Range& range, int most, TickRule rule, bool whole = false);

/// A linear map from a range to pixels.
class Scale {
 public:
  Scale() = default;
  Scale(const Range& range, double from, double to);
  double operator()(double value) const;
  double from() const { return from_; }
  double to() const { return to_; }

 private:
  Range range_{0, 1, false};
  double from_ = 0;
  double to_ = 1;
};

}  // namespace bsq::charts
