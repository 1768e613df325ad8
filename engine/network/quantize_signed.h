// Where numbers of either sign are quantized: quant.signed = lsq_plus.
#pragma once

#include "engine/network/network_spec.h"

namespace bsq {

/// Puts a `quantize` behind each node whose numbers may be below 0 and are read by a quantized conv2d or linear, as
/// those of MobileNetV2's bottlenecks are: NODE.quantize, which all of its readers read in its place. The image stays
/// as it is, and so does what a `quantize` writes that is there already. `projections`: whether those are quantized.
/// Kinds as they are run (layer_kinds.h).
void quantize_signed(NetworkSpec& spec, bool projections);

}  // namespace bsq
