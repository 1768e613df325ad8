// Float training: the weights are what they are.
#pragma once

#include "engine/config/config.h"
#include "engine/methods/method.h"

namespace bsq {

std::unique_ptr<Method> make_dense_method(const Config& config);

}  // namespace bsq
