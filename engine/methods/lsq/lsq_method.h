// LSQ: weights of given widths, on a grid whose step is trained (METHOD 13).
#pragma once

#include "engine/config/config.h"
#include "engine/methods/method.h"

namespace bsq {

std::unique_ptr<Method> make_lsq_method(const Config& config);
/// Trains weights that have widths on, under these.
std::unique_ptr<Method> make_lsq_finetuner(const Config& config);

}  // namespace bsq
