// Which layers are quantized in a network that says so of none: `quantize: all` of a network file.
#pragma once

#include "engine/network/network_spec.h"

namespace bsq {

/// As the published code quantizes a ResNet: the weights of every conv2d and linear, but the projections of shortcuts,
/// which quant.projections decides about; the output of every activation, but the first, which is the stem's.
///
/// A projection is the one convolution, 1x1, on a side of a sum whose other side has two or more of the same input.
/// Nodes that say `quantized` or `projection` themselves keep what they say. Kinds as written, fused or not.
void quantize_all(NetworkSpec& spec);

}  // namespace bsq
