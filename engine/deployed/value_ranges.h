// What numbers the tensors of a network hold, for the grids of a deployed one: the network is run as it was trained, or
// has kept them.
#pragma once

#include "engine/deployed/deploy.h"
#include "engine/input/dataset.h"

namespace bsq {

struct RangeImages {
  const Dataset& images;  // of the training set
  InputOptions input;
  int batch_size = 0;
  int batches = 0;         // at most; fewer if the set is smaller
  std::uint64_t seed = 0;  // of the choice of images
};

/// Means over batches of the least and the largest number, as METHOD 11 has them of quantizers; with calibrated
/// activation scales, in float32, without rounding to ranges. Throws Error(data) for images of another size than the
/// network takes.
ValueRanges find_ranges(Backend& backend, const Network& network, const DeploymentPlan& plan, const TensorFile& plain,
                        const Weights& weights, const RangeImages& from);

/// Those that the network was trained with, of the planned levels that need one. Throws Error(checkpoint) if one of
/// them is no range.
ValueRanges trained_ranges(const Network& network, const DeploymentPlan& plan, const TensorFile& plain);
/// Whether `ranges` has one for each of the planned levels that need one.
bool has_all(const ValueRanges& ranges, const DeploymentPlan& plan);

}  // namespace bsq
