// How many weights of each tensor lie on each level of its grid.
#pragma once

#include "tools/session/open_model.h"

#include <cstdint>
#include <vector>

namespace bsq {

/// One entry a quantized tensor, in the order of the network: counts of the effective weights |scale| k / (2^bits - 1),
/// k = -(2^bits - 1) .. 2^bits - 1; one, of zeros, for a tensor of 0 bits. Nothing for a float model, which has no
/// grid.
using LevelCounts = std::vector<std::vector<std::int64_t>>;

LevelCounts count_levels(const OpenModel& model);

}  // namespace bsq
