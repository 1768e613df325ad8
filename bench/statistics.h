// What samples of a time say: their middle, their spread, whether two measurements differ, and what bounds a time.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bsq::bench {

/// The time of one kind of call.
struct Timing {
  double median_s = 0;
  double spread = 0;  // half the distance of the 10th and the 90th percentile, as a part of the median
  double fastest_s = 0;
  int samples = 0;
};

/// The value below which `share` of the sorted values lie, between two of them by a straight line.
double percentile(const std::vector<double>& sorted, double share);

/// The timing of at least one sample.
Timing timing_of(std::vector<double> seconds);

/// How a time has changed.
struct Change {
  double relative = 0;  // 0.1: a tenth longer
  double noise = 0;     // what the logarithm of their ratio must exceed to count
  bool is_real = false;
};

/// `noise` is twice the root of the sum of both spreads' squares, and 1 % at least. A spread is that of single calls,
/// several times the error of a median: the rule is meant to hold for measurements hours apart, on a machine that is
/// now a little faster, now a little slower. Medians of fewer than 5 calls say nothing: no such change is real.
Change change_between(const Timing& before, const Timing& now);

/// What a call moves and computes at least.
struct Cost {
  double bytes = 0;
  double flops = 0;
  double items = 0;            // 0: images of the batch
  double calls = 1;            // of the device: kernels that follow each other
  double footprint_bytes = 0;  // of its arguments; 0: `bytes`, each is read or written once
};

/// What this machine can do, as measured; empty if nothing was measured.
struct Peaks {
  struct Bandwidth {
    double footprint_bytes = 0;  // of what is read and written again and again
    double bytes_per_s = 0;
  };
  std::vector<Bandwidth> bandwidths;          // by footprint; the last one is that of memory
  std::map<std::string, double> flops_per_s;  // of a large product, by type
  double call_s = 0;                          // of an operation that does next to nothing

  /// The best bandwidth at this footprint or a larger one; that of memory beyond the largest.
  std::optional<double> bytes_per_s(double footprint_bytes) const;
  std::optional<double> memory_bytes_per_s() const;
  std::optional<double> flops(const std::string& type) const;
};

enum class Bound { unknown, memory, arithmetic, latency };

const char* name_of(Bound bound);

/// How long a call takes at least by each of the peaks.
struct Floors {
  double memory_s = 0;
  double arithmetic_s = 0;
  double latency_s = 0;

  double roof_s() const;  // of memory and arithmetic
  Bound bound() const;    // the largest
};

/// Nothing if a peak that it needs was not measured. Cold: every byte comes from memory.
std::optional<Floors> floors_of(const Cost& cost, const std::string& type, const Peaks& peaks, bool cold);

}  // namespace bsq::bench
