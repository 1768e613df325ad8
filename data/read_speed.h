// How fast images are read: what a stream can hand to training steps.
#pragma once

#include "engine/input/dataset.h"

#include <optional>

namespace bsq {

/// Images a second that the calling thread reads, of images spread over the set, for about so many seconds (at least
/// one image): as training reads them with a key, else as evaluation does. Throws Error(data).
double images_per_second(const Dataset& set, double seconds, const std::optional<AugmentKey>& key = {});

}  // namespace bsq
