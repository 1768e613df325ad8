// The quantizable weights of a network on the host, in any of their three forms, and the conversions between them.
//
// One entry a slot of the quantized ArenaLayout, elements in memory order (OHWI). Conversions are free functions: a
// weight store is built from the result, it never converts itself.
#pragma once

#include "engine/bit_planes.h"
#include "engine/parameters.h"
#include "engine/safetensors.h"

#include <string>
#include <variant>
#include <vector>

namespace bsq {

using DenseTensors = std::vector<std::vector<float>>;
using HostWeights = std::variant<DenseTensors, std::vector<BitPlanes>, std::vector<FixedPoint>>;

/// "float", "planes" or "fixed".
std::string_view form_of(const HostWeights& weights);

/// Start values of a network that nobody has trained yet.
HostWeights initial_weights(const ArenaLayout& layout, std::uint64_t seed);
/// Finds out the form from the names in the file. Throws Error(checkpoint).
HostWeights read_weights(const TensorFile& file, const ArenaLayout& layout, int max_bits);

/// Effective weights.
DenseTensors to_dense(const HostWeights& weights);
/// Bit planes: those there are, or a conversion of float weights to bits[slot] bits (ALGORITHM 1); planes that come out
/// empty are dropped by adjust_precision without a threshold.
std::vector<BitPlanes> to_planes(const HostWeights& weights, const std::vector<int>& bits);
/// Fixed-point weights under the scheme the planes have (ALGORITHM 5). Float weights have none: Error(internal).
std::vector<FixedPoint> to_fixed(const HostWeights& weights);

/// {"conv1": [8, 0], "fc": [8, 8]}: bits of weight and bias, the form that checkpoints store. A fixed tensor may have
/// 0.
std::string scheme_to_json(const HostWeights& weights, const ArenaLayout& layout);
/// Bits by slot from such a text; throws Error(checkpoint) naming `where`.
std::vector<int> scheme_from_json(const std::string& text, const ArenaLayout& layout, const std::string& where);

}  // namespace bsq
