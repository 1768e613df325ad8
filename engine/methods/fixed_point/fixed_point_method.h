// Finetuning under the scheme that a model has: fixed-point weights whose widths never change (METHOD 5).
#pragma once

#include "engine/config/config.h"
#include "engine/methods/method.h"

namespace bsq {

std::unique_ptr<Method> make_fixed_point_method(const Config& config);

}  // namespace bsq
