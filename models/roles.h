// Roles of layers: which weights get bit widths, and which widths they and the activations keep to. A network says what
// is usual for it (`quantized`, `projection`), a configuration what is wanted; here the two become one spec, which
// checkpoints carry, so that nobody has to look at quant.* again to know.
#pragma once

#include "engine/config/config.h"
#include "engine/network/network_spec.h"

namespace bsq {

/// The network with what quant.scheme, quant.layers and quant.projections say of its nodes: `quantized`, `weight_bits`,
/// `max_bits`, `fixed`, `act_bits`. Projections have been decided about, so that `projection` goes. Throws Error(usage)
/// with a line per problem, each with the place of its key: patterns that match nothing, keys that mean nothing where
/// they match, contradictions, quantized layers that a scheme says no bits of.
NetworkSpec with_roles(NetworkSpec spec, const QuantConfig& quant);

}  // namespace bsq
