// The section `lsq` of a configuration: what every training has, and a budget.
#pragma once

#include "engine/methods/budget_keys.h"

#include <string>

namespace bsq {

struct LsqConfig : WidthBudgetConfig {
  std::string steps = "tensor";     // or channel: of filters before norms
  std::string range = "symmetric";  // or asymmetric: a level more below
};

void add_lsq_keys(ConfigSchema& schema);

}  // namespace bsq
