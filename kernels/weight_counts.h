// What weights are made of, counted on the host: count_planes and count_fixed of the backends that use host memory.
#pragma once

#include "kernels/ops/weight_counts.h"

namespace bsq {

/// Counts one tensor; `planes` and `u` are the arenas.
WeightCounts count_weights(const PlaneTensor& tensor, const float* planes, float scale);
WeightCounts count_weights(const FixedTensor& tensor, const float* u, float scale);

}  // namespace bsq
