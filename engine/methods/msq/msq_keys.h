// The section `msq` of a configuration: what every training has, the penalty, and when bits go.
#pragma once

#include "engine/methods/budget_keys.h"

namespace bsq {

struct MsqConfig : WidthBudgetConfig {
  double strength = 0.05;       // lambda of the penalty
  int prune_interval = 10;      // epochs
  double prune_threshold = 10;  // percent of a tensor's last bits
};

void add_msq_keys(ConfigSchema& schema);

}  // namespace bsq
