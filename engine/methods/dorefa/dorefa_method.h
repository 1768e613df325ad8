// DoReFa-Net's weights: every layer with the width that the configuration says (METHOD 19). The uniform baseline.
#pragma once

#include "engine/config/config.h"
#include "engine/methods/method.h"

namespace bsq {

std::unique_ptr<Method> make_dorefa_method(const Config& config);

}  // namespace bsq
