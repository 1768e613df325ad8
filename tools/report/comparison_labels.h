// What groups of runs are called: by what sets them apart, as short as that can be said.
#pragma once

#include "tools/report/comparison.h"

namespace bsq {

/// The value of a key as runs are compared by it; of model.init, if it is known, what kind of model that is: one of the
/// same training with another seed is no other setting.
ConfigValue compared_value(const ConfigKey& key, const RunReport& run);

/// Sets method, label, series and in_series of all groups, and what the comparison says of them all.
void label_groups(Comparison& comparison, std::vector<Strength> strengths);

}  // namespace bsq
