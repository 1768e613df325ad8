// CSQ: bit planes and masks as gates that harden, under a budget of bits (METHOD 14).
#pragma once

#include "engine/config/config.h"
#include "engine/methods/method.h"

namespace bsq {

std::unique_ptr<Method> make_csq_method(const Config& config);

}  // namespace bsq
