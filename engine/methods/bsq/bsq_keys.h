// The section `bsq` of a configuration.
#pragma once

#include "engine/methods/budget_keys.h"

#include <string>

namespace bsq {

struct BsqConfig : BudgetConfig {
  double alpha = 5e-3;           // strength of the group penalty on bit planes (--decay)
  int requant_interval = 50;     // epochs from one re-quantization to the next (--Prun_Int)
  double prune_threshold = 0;    // percent of non-zero entries at or below which a plane is dropped (--thre)
  std::string cost = "weights";  // what a bit of a layer costs in the penalty; or bops

  // With a budget in place of alpha (engine/methods/bsq/budget_controller.h).
  double budget_alpha = 0.02;  // the strength at most
  bool alpha_is_set = false;   // by a person
};

void add_bsq_keys(ConfigSchema& schema);

}  // namespace bsq
