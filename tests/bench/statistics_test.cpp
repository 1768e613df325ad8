// The arithmetic behind `bsq bench`: middle and spread of samples, what counts as a change, and what bounds a call.
#include "bench/statistics.h"
#include "kernels/base/error.h"
#include "tests/support/catch.h"

namespace bsq::bench {
namespace {

Timing timing(double median_s, double spread, int samples = 20) {
  return {median_s, spread, median_s * (1 - spread), samples};
}

Peaks peaks() {
  Peaks peaks;
  peaks.bandwidths = {{1e6, 400}, {1e7, 500}, {1e8, 100}};
  peaks.flops_per_s = {{"fp32", 1000}};
  peaks.call_s = 2;
  return peaks;
}

TEST_CASE("the middle and the spread of samples, whatever their order") {
  std::vector<double> samples;
  for (int i = 10; i >= 0; --i) samples.push_back(100 + i);  // 100 to 110
  const Timing found = timing_of(samples);
  CHECK(found.median_s == 105);
  CHECK(found.fastest_s == 100);
  CHECK(found.samples == 11);
  CHECK(found.spread == Approx(4.0 / 105));  // from 101 to 109
  CHECK(timing_of({2, 4}).median_s == 3);
  CHECK(timing_of({7}).spread == 0);
  CHECK_THROWS_AS(timing_of({}), Error);
}

TEST_CASE("one slow call in twenty changes neither the middle nor the spread") {
  std::vector<double> samples(20, 1.0);
  samples[7] = 50;
  CHECK(timing_of(samples).median_s == 1);
  CHECK(timing_of(samples).spread == 0);
}

TEST_CASE("a change is real where it is beyond twice both spreads, added as squares") {
  const Change change = change_between(timing(1, 0.03), timing(1.11, 0.04));
  CHECK(change.relative == Approx(0.11));
  CHECK(change.noise == Approx(0.1));
  CHECK(change.is_real);
  CHECK_FALSE(change_between(timing(1, 0.03), timing(1.09, 0.04)).is_real);
  CHECK(change_between(timing(1, 0.03), timing(0.89, 0.04)).is_real);
  CHECK_FALSE(change_between(timing(1, 0.03), timing(0.91, 0.04)).is_real);
  CHECK_FALSE(change_between(timing(1, 0.3), timing(1.11, 0.04)).is_real);
  CHECK(change_between(timing(100, 0.6), timing(1, 0.6)).is_real);  // a hundredth is far away, however wide the spreads
}

TEST_CASE("less than 1 % is never a change, and medians of few calls say nothing") {
  CHECK_FALSE(change_between(timing(1, 0), timing(1.009, 0)).is_real);
  CHECK(change_between(timing(1, 0), timing(1.011, 0)).is_real);
  CHECK_FALSE(change_between(timing(1, 0, 4), timing(2, 0)).is_real);
  CHECK_FALSE(change_between(timing(1, 0), timing(2, 0, 2)).is_real);
  CHECK_FALSE(change_between(timing(0, 0), timing(2, 0)).is_real);
}

TEST_CASE("what fits into a cache is held against the cache, all else against memory") {
  CHECK(peaks().bytes_per_s(1e5) == 500);  // a larger footprint may do better: launches show less
  CHECK(peaks().bytes_per_s(5e6) == 500);
  CHECK(peaks().bytes_per_s(5e7) == 100);
  CHECK(peaks().bytes_per_s(1e9) == 100);
  CHECK(peaks().memory_bytes_per_s() == 100);
  CHECK(floors_of({.bytes = 2e7}, "fp32", peaks(), false)->memory_s == 2e5);
  CHECK(floors_of({.bytes = 2e7, .footprint_bytes = 1e7}, "fp32", peaks(), false)->memory_s ==
        4e4);  // read and written
}

TEST_CASE("a call is bound by what takes it longest") {
  const auto bound = [](double bytes, double flops, double calls, bool cold) {
    return floors_of({.bytes = bytes, .flops = flops, .calls = calls}, "fp32", peaks(), cold)->bound();
  };
  CHECK(bound(5000, 1000, 1, false) == Bound::memory);       // 10 s, 1 s, 2 s
  CHECK(bound(5000, 20000, 1, false) == Bound::arithmetic);  // 10 s, 20 s
  CHECK(bound(5000, 20000, 1, true) == Bound::memory);       // 50 s: nothing is in the cache
  CHECK(bound(500, 1000, 1, false) == Bound::latency);       // 1 s, 1 s, 2 s
  CHECK(bound(5000, 20000, 11, false) == Bound::latency);    // 22 s of launches
  CHECK(floors_of({.bytes = 5000, .flops = 20000}, "fp32", peaks(), false)->roof_s() == 20);
}

TEST_CASE("nothing is said of a peak that was not measured") {
  CHECK_FALSE(floors_of({.bytes = 1}, "fp32", {}, false));
  CHECK_FALSE(floors_of({.bytes = 1, .flops = 1}, "bf16", peaks(), false));
  CHECK(floors_of({.bytes = 1}, "bf16", peaks(), false));  // moves alone
  CHECK_FALSE(peaks().flops("bf16"));
  CHECK(std::string(name_of(Bound::unknown)) == "-");
}

}  // namespace
}  // namespace bsq::bench
