// Training images that cannot be read, and what stands in for them.
#pragma once

#include "engine/input/dataset.h"

#include <memory>

namespace bsq {

/// The same set, in which an image whose file holds none that can be read (ImageError) is replaced by the next one of
/// its class that can, in the order of the set: a function of the files, whoever reads it, and when. Its notes count
/// such images and name the first. Throws the error of an image if its class has no other, or if more than half of all
/// images fail: then something else is broken than a few files.
std::unique_ptr<const Dataset> with_errors_passed_over(std::unique_ptr<const Dataset> set);

}  // namespace bsq
