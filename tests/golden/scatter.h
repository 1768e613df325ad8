// Comparing chaotic training: with quantized activations, runs that differ by a last digit at the start drift apart, so
// a stored number is compared with how such runs scatter, not with one of them.
#pragma once

#include "tests/golden/training_replay.h"

#include <vector>

namespace bsq::golden {

/// How many runs a scatter is made of: their deviation is then known to about a quarter.
constexpr int kScatterRuns = 8;

/// `setup` with the scale of the first batch norm moved by `run` times 1e-6 of itself; run 0 is `setup`.
TrainingSetup disturbed(const TrainingSetup& setup, int run);

/// One quantity, over runs.
class Scatter {
 public:
  void add(double value) { values_.push_back(value); }
  /// |value - mean| in standard deviations of a further run, which are at least `floor`.
  double deviations(double value, double floor) const;

 private:
  std::vector<double> values_;
};

}  // namespace bsq::golden
