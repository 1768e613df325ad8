// The quantizable weights of a network on the host, in any of their three forms, and the conversions between them.
//
// One entry a slot of the quantized ArenaLayout, elements in memory order (OHWI). Conversions are free functions: a
// weight store is built from the result, it never converts itself.
#pragma once

#include "engine/files/safetensors.h"
#include "engine/methods/bsq/bit_planes.h"
#include "engine/network/parameters.h"

#include <cstdint>
#include <string>
#include <string_view>
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
/// Bit planes: those there are, or a conversion of float weights to bits[slot] bits (METHOD 1); planes that come out
/// empty are dropped by adjust_precision without a threshold.
std::vector<BitPlanes> to_planes(const HostWeights& weights, const std::vector<int>& bits);
/// Fixed-point weights under the scheme the planes have (METHOD 5). Float weights have none: Error(internal).
std::vector<FixedPoint> to_fixed(const HostWeights& weights);

/// What the precision of a tensor is summed up from.
struct TensorCounts {
  int bits = 0;  // 32 in float
  float scale = 0;
  std::int64_t zeros = 0;          // effective weights that are 0
  std::vector<std::int64_t> ones;  // of each plane, the most significant first; none in float and where bits = 0
};
std::vector<TensorCounts> count_weights(const HostWeights& weights);

/// The tensors of a file, in any form; `suffix` behind their names. Momentum has the shape of what it belongs to.
std::vector<HostTensor> weights_to_tensors(const HostWeights& weights, const ArenaLayout& layout,
                                           std::string_view suffix = "");
inline constexpr std::string_view kMomentumSuffix = ".momentum_buffer";

/// {"conv1": [8, 0], "fc": [8, 8]}: bits of weight and bias, the form that checkpoints store. A fixed tensor may have
/// 0.
std::string scheme_to_json(const HostWeights& weights, const ArenaLayout& layout);
/// Bits by slot from such a text; throws Error(checkpoint) naming `where`.
std::vector<int> scheme_from_json(const std::string& text, const ArenaLayout& layout, const std::string& where);

}  // namespace bsq
