// Several sets of weights in one file of others, each under a prefix of its own: a model and its moving average.
#pragma once

#include "engine/files/safetensors.h"

#include <functional>
#include <optional>
#include <string>

namespace bsq {

/// Leaves one set of weights in the file, without its prefix: that of `wish`, a prefix without its last dot (empty: the
/// set without one); without a wish the model's own, which is the first one that no name calls an average. An average
/// of parameters alone gets the running statistics of the model. Says what is taken and what is left out. A file of
/// one set stays as it is. Throws Error(usage) if no set is that of the wish.
void take_weights(TensorFile& file, const std::optional<std::string>& wish,
                  const std::function<void(const std::string&)>& say);

}  // namespace bsq
