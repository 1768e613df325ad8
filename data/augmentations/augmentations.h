// The table of augmentations, and the set that applies them.
#pragma once

#include "data/augmentations/augmentation.h"

#include <memory>
#include <vector>

namespace bsq {

/// One line per augmentation, in the order in which they are applied.
const std::vector<Augmentation>& augmentations();

/// `train`, whose read_augmented() then applies what the configuration asks for, in the order of the table, to what
/// that of `train` gives; `train` itself if it asks for nothing.
std::unique_ptr<const Dataset> with_augmentations(std::unique_ptr<const Dataset> train, const Config& config);

}  // namespace bsq
