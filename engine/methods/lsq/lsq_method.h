// LSQ: weights of given widths, on a grid whose step is trained (METHOD 13).
#pragma once

#include "engine/config/config.h"
#include "engine/methods/method.h"

namespace bsq {

std::unique_ptr<Method> make_lsq_method(const Config& config);
/// Trains weights that have widths on, under these. `steps`: which of them share one, a value of lsq.steps; `range`:
/// one of lsq.range.
std::unique_ptr<Method> make_lsq_finetuner(const Config& config, const std::string& steps, const std::string& range);

}  // namespace bsq
