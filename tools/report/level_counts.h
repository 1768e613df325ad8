// How many weights of each tensor lie on each level of its grid.
#pragma once

#include "engine/files/safetensors.h"

#include <cstdint>
#include <vector>

namespace bsq {

/// One entry a quantized tensor, in the order of the network: counts of the effective weights |scale| k / (2^bits - 1),
/// k = -(2^bits - 1) .. 2^bits - 1; one, of zeros, for a tensor of 0 bits. Nothing for a float model, which has no
/// grid.
using LevelCounts = std::vector<std::vector<std::int64_t>>;

/// Of a model file in any form. Throws Error(checkpoint) where it is no network of ours.
LevelCounts count_levels(const TensorFile& model);

}  // namespace bsq
