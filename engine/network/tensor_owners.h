// Which tensors of a network lie in the memory of another one.
#pragma once

#include "engine/network/network.h"

#include <vector>

namespace bsq {

/// By tensor: the one in whose memory it lies, itself where it has its own. Two kinds of tensors have none:
/// - the first input of a concat, itself the output of one: the first channels of the wider pixels of its owner, the
///   last concat of the chain. All its readers must take a pitch, and that concat must be the last of them: then it
///   is the first to visit the gradient, which lies in the memory of the owner's gradient likewise;
/// - in inference what a layer writes that is left out: its input.
std::vector<TensorId> tensor_owners(const Network& network, bool training);

}  // namespace bsq
