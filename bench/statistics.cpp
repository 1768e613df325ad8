#include "bench/statistics.h"

#include "kernels/base/error.h"

#include <algorithm>
#include <cmath>

namespace bsq::bench {
namespace {

constexpr double kLeastNoise = 0.01;
constexpr int kLeastSamples = 5;

}  // namespace

double percentile(const std::vector<double>& sorted, double share) {
  require(!sorted.empty(), "percentile of nothing");
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Timing timing_of(std::vector<double> seconds) {
  std::ranges::sort(seconds);
  Timing timing;
  timing.median_s = percentile(seconds, 0.5);
  timing.fastest_s = seconds.front();
  timing.samples = static_cast<int>(seconds.size());
  if (timing.median_s > 0) timing.spread = (percentile(seconds, 0.9) - percentile(seconds, 0.1)) / 2 / timing.median_s;
  return timing;
}

Change change_between(const Timing& before, const Timing& now) {
  Change change;
  if (before.median_s <= 0 || now.median_s <= 0) return change;
  change.relative = now.median_s / before.median_s - 1;
  change.noise = std::max(kLeastNoise, 2 * std::hypot(before.spread, now.spread));
  change.is_real = std::min(before.samples, now.samples) >= kLeastSamples &&
                   std::abs(std::log(now.median_s / before.median_s)) > change.noise;
  return change;
}

std::optional<double> Peaks::bytes_per_s(double footprint_bytes) const {
  std::optional<double> best = memory_bytes_per_s();
  for (const Bandwidth& measured : bandwidths)
    if (measured.footprint_bytes >= footprint_bytes) best = std::max(*best, measured.bytes_per_s);
  return best;
}

std::optional<double> Peaks::memory_bytes_per_s() const {
  if (bandwidths.empty()) return std::nullopt;
  return bandwidths.back().bytes_per_s;
}

std::optional<double> Peaks::flops(const std::string& type) const {
  const auto found = flops_per_s.find(type);
  if (found == flops_per_s.end()) return std::nullopt;
  return found->second;
}

const char* name_of(Bound bound) {
  constexpr const char* names[] = {"-", "memory", "arithmetic", "latency"};
  return names[static_cast<int>(bound)];
}

double Floors::roof_s() const {
  return std::max(memory_s, arithmetic_s);
}

Bound Floors::bound() const {
  if (latency_s > roof_s()) return Bound::latency;
  return memory_s >= arithmetic_s ? Bound::memory : Bound::arithmetic;
}

std::optional<Floors> floors_of(const Cost& cost, const std::string& type, const Peaks& peaks, bool cold) {
  const double footprint_bytes = cost.footprint_bytes > 0 ? cost.footprint_bytes : cost.bytes;
  const std::optional<double> bytes_per_s = cold ? peaks.memory_bytes_per_s() : peaks.bytes_per_s(footprint_bytes);
  const std::optional<double> flops_per_s = peaks.flops(type);
  if (!bytes_per_s || (cost.flops > 0 && !flops_per_s)) return std::nullopt;
  return Floors{cost.bytes / *bytes_per_s, cost.flops > 0 ? cost.flops / *flops_per_s : 0, cost.calls * peaks.call_s};
}

}  // namespace bsq::bench
