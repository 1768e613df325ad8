// How many weights of each tensor lie on each level of its grid.
#pragma once

#include "tools/session/open_model.h"

#include <cstdint>
#include <vector>

namespace bsq {

/// One entry per quantized tensor, in the order of the network: the counts of effective weights |scale| k / (2^bits -
/// 1) for k = -(2^bits - 1) .. 2^bits - 1. A tensor of 0 bits has one count, of zeros. Of a
/// lopsided grid they are those for k = -2^bits .. 2^bits, |scale| being 2^bits units. A float model has no entries,
/// since it has no grid.
using LevelCounts = std::vector<std::vector<std::int64_t>>;

LevelCounts count_levels(const OpenModel& model);

}  // namespace bsq
