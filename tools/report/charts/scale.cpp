// Round numbers and linear scales (tools/report/charts/scale.h).
#include "tools/report/charts/scale.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bsq::charts {
namespace {

constexpr double kMost = 1e300;       // differences of two of these are finite
constexpr double kSmallest = 1e-290;  // a smaller span counts as none
constexpr double kRelative = 1e-9;    // so does one below this share of the numbers themselves
constexpr double kSlack = 1e-9;       // of a step: 0.3 / 0.1 is not quite 3

double round_step(double rough) {
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough * (1 - kSlack)) return factor * power;
  return 10 * power;
}

}  // namespace

void Range::include(double value) {
  if (std::isnan(value)) return;
  value = std::clamp(value, -kMost, kMost);
  low = empty ? value : std::min(low, value);
  high = empty ? value : std::max(high, value);
  empty = false;
}

void Range::include(const Range& other) {
  if (other.empty) return;
  include(other.low);
  include(other.high);
}

Range range_of(double low, double high) {
  Range range;
  range.include(low);
  range.include(high);
  return range;
}

Range drawable(const Range& range) {
  if (range.empty) return {0, 1, false};
  const double largest = std::max(std::abs(range.low), std::abs(range.high));
  if (range.high - range.low > std::max(kSmallest, kRelative * largest)) return range;
  if (largest < kSmallest) return {0, 1, false};
  return {range.low - largest / 10, range.high + largest / 10, false};
}

std::string Ticks::text(double value) const {
  if (std::abs(value) < step / 2) value = 0;  // 0 exactly, and never -0
  const double largest = values.empty() ? std::abs(value) : std::max(std::abs(values.front()), std::abs(values.back()));
  if (largest >= 1e6 || step < 1e-4) return fmt::format("{:.6g}", value);
  const int digits = std::max(0, static_cast<int>(-std::floor(std::log10(step) + kSlack)));
  return fmt::format("{:.{}f}", value, digits);
}

Ticks find_ticks(const Range& wanted, int most, TickRule rule, bool whole) {
  const Range range = drawable(wanted);
  Ticks ticks;
  ticks.step = round_step((range.high - range.low) / std::max(most, 2));
  if (whole) ticks.step = std::max(ticks.step, 1.0);
  const bool around = rule == TickRule::around;
  const double low = range.low / ticks.step, high = range.high / ticks.step;
  const double first = around ? std::floor(low + kSlack) : std::ceil(low - kSlack);
  const double last = around ? std::ceil(high - kSlack) : std::floor(high + kSlack);
  for (double i = first; i <= last; ++i) ticks.values.push_back(i * ticks.step);
  return ticks;
}

Scale::Scale(const Range& range, double from, double to) : range_(drawable(range)), from_(from), to_(to) {}

double Scale::operator()(double value) const {
  const double share = (std::clamp(value, -kMost, kMost) - range_.low) / (range_.high - range_.low);
  return from_ + share * (to_ - from_);
}

}  // namespace bsq::charts
