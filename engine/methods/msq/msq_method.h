// MSQ: weights whose last bits a penalty empties, and which lose those that are empty enough (METHOD 20).
#pragma once

#include "engine/config/config.h"
#include "engine/methods/method.h"

namespace bsq {

std::unique_ptr<Method> make_msq_method(const Config& config);

}  // namespace bsq
