// Ranges, round numbers, scales.
#include "tests/support/catch.h"
#include "tools/report/charts/scale.h"

#include <cmath>
#include <limits>

using namespace bsq::charts;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<std::string> texts(const Range& range, int most, TickRule rule, bool whole = false) {
  const Ticks ticks = find_ticks(range, most, rule, whole);
  std::vector<std::string> result;
  for (const double value : ticks.values) result.push_back(ticks.text(value));
  return result;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("ticks are round numbers around or inside a range") {
  CHECK(texts(range_of(0, 100), 5, TickRule::around) == Texts{"0", "20", "40", "60", "80", "100"});
  CHECK(texts(range_of(3, 97), 5, TickRule::around) == Texts{"0", "20", "40", "60", "80", "100"});
  CHECK(texts(range_of(3, 97), 5, TickRule::inside) == Texts{"20", "40", "60", "80"});
  CHECK(texts(range_of(0.1, 0.3), 4, TickRule::around) == Texts{"0.10", "0.15", "0.20", "0.25", "0.30"});
  CHECK(texts(range_of(-0.3, 0.3), 3, TickRule::around) == Texts{"-0.4", "-0.2", "0.0", "0.2", "0.4"});
  CHECK(texts(range_of(0, 3e7), 3, TickRule::around) == Texts{"0", "1e+07", "2e+07", "3e+07"});
  CHECK(texts(range_of(0, 2e-6), 2, TickRule::around) == Texts{"0", "1e-06", "2e-06"});
}

TEST_CASE("whole numbers alone where halves mean nothing") {
  CHECK(texts(range_of(0, 2), 10, TickRule::around, true) == Texts{"0", "1", "2"});
  CHECK(texts(range_of(1, 1), 10, TickRule::inside, true) == Texts{"1"});
  CHECK(texts(range_of(0, 2), 4, TickRule::around) == Texts{"0.0", "0.5", "1.0", "1.5", "2.0"});
}

TEST_CASE("every range has few ticks, in order and in its reach") {
  for (const double low : {0.0, -1.0, 1e-12, 1e300, -1e300, 123456.789, 5e-324})
    for (const double span : {0.0, 1e-320, 1e-15, 1e-6, 0.37, 1.0, 99.0, 1e9, 1e300, kInfinity})
      for (const int most : {0, 2, 5, 10})
        for (const TickRule rule : {TickRule::inside, TickRule::around}) {
          INFO(low << " " << span << " " << most);
          const Range range = range_of(low, low + span);
          const Ticks ticks = find_ticks(range, most, rule);
          REQUIRE(std::isfinite(ticks.step));
          REQUIRE(ticks.step > 0);
          REQUIRE_FALSE(ticks.values.empty());
          REQUIRE(ticks.values.size() <= static_cast<std::size_t>(std::max(most, 2)) + 3);
          for (std::size_t i = 1; i < ticks.values.size(); ++i) REQUIRE(ticks.values[i - 1] < ticks.values[i]);
          const Range drawn = drawable(range);
          if (rule == TickRule::around) {
            CHECK(ticks.values.front() <= drawn.low + ticks.step / 1e6);
            CHECK(ticks.values.back() >= drawn.high - ticks.step / 1e6);
          }
        }
}

TEST_CASE("a range leaves out what is no number, and has room around equal ones") {
  Range range;
  range.include(kNan);
  CHECK(range.empty);
  CHECK(drawable(range).low == 0);
  CHECK(drawable(range).high == 1);
  range.include(5);
  CHECK(drawable(range).low < 5);
  CHECK(drawable(range).high > 5);
  range.include(kNan);
  range.include(-kInfinity);
  CHECK(range.low == -1e300);
  CHECK(range.high == 5);
  CHECK(drawable(range_of(0, 0)).high == 1);
  const Range close = drawable(range_of(1, std::nextafter(1, 2)));
  CHECK(close.high - close.low > 0.1);
}

TEST_CASE("a scale takes the ends of its range to its ends, upside down as well") {
  const Scale down(range_of(0, 10), 200, 100);
  CHECK(down(0) == 200);
  CHECK(down(10) == 100);
  CHECK(down(5) == 150);
  const Scale wide(range_of(-kInfinity, kInfinity), 0, 1);
  CHECK(wide(0) == Approx(0.5));
  CHECK(std::isfinite(wide(kInfinity)));
  CHECK(std::isfinite(Scale(Range{}, 0, 100)(3)));
}
