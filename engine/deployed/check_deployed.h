// Whether a deployed network from a file can be run: every size, index and sum of it.
#pragma once

#include "engine/deployed/deployed_network.h"

#include <string>

namespace bsq {

/// What is wrong with it, in words; empty if nothing is. Looks at no number that follows from others (multipliers,
/// sums, tables).
std::string fault_of(const DeployedNetwork& network);

}  // namespace bsq
