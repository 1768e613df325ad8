// Operations on levels (kernels/ops/levels.h) in plain loops: what the oracle and the CPU's backend run. Deployed
// networks have programs of their own for processors (engine/deployed/deployed_run.h); this is the definition.
#pragma once

#include "kernels/ops/levels.h"

namespace bsq::plain {

void pixels_to_levels(const PixelsToLevelsArgs& args);
void convolve_levels(const ConvolveLevelsArgs& args);
void add_levels(const AddLevelsArgs& args);
void max_pool_levels(const MaxPoolLevelsArgs& args);
void concat_levels(const ConcatLevelsArgs& args);
void flatten_levels(const FlattenLevelsArgs& args);
void classify_levels(const ClassifyLevelsArgs& args);

}  // namespace bsq::plain
