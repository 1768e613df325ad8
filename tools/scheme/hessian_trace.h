// The trace of the Hessian of the loss, layer by layer: by differences of losses alone, without gradients.
//
// With v of random signs, E[v' H v] is the trace of H (Hutchinson, 1990), and v' H v is the second difference of the
// loss along v: (L(W + e v) - 2 L(W) + L(W - e v)) / e^2. HAWQ-V2 (arXiv 1911.03852) ranks layers by the mean trace,
// and widths by trace / numel times |dW|^2. A small e is the wrong one: every ReLU that flips is a kink, whose part of
// the difference grows as e falls; e is a tenth of the weights' root mean square.
#pragma once

#include "tools/scheme/sensitivity.h"

#include <cstdint>

namespace bsq {

struct TracePlan {
  int probes = 1;          // per layer
  std::uint64_t seed = 0;  // of their signs
};

/// Adds the trace to each layer of `result`, which measure() has filled in; of its weight alone, not of a bias. Nothing
/// for a layer whose weights are all 0. `how.measured` is called after each probe. Throws Error(diverged) for a loss
/// that is no number.
void measure_traces(const SensitivityMeasurement& how, const std::vector<SchemeLayer>& layers, const TracePlan& plan,
                    Sensitivity& result);

}  // namespace bsq
