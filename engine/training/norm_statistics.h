// Running statistics of norms where a stage begins with filters whose channels have other scales than before.
#pragma once

#include "engine/model/model.h"

namespace bsq {

/// Gives every norm behind such a filter (WeightStore::output_scales) the statistics of the filter's new output, so
/// that evaluation means what it meant; up to the norm's epsilon.
void fit_norm_statistics(Backend& backend, Model& model);

}  // namespace bsq
