// BSQ: bit planes under the group penalty, re-quantized at intervals and after the last epoch (METHOD 1 to 4).
#pragma once

#include "engine/config/config.h"
#include "engine/methods/method.h"

namespace bsq {

std::unique_ptr<Method> make_bsq_method(const Config& config);

}  // namespace bsq
