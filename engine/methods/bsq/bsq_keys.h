// The section `bsq` of a configuration.
#pragma once

#include "engine/model/bit_budget.h"

#include <string>

namespace bsq {

class ConfigSchema;

struct BsqConfig {
  double alpha = 5e-3;           // strength of the group penalty on bit planes (--decay)
  int requant_interval = 50;     // epochs from one re-quantization to the next (--Prun_Int)
  double prune_threshold = 0;    // percent of non-zero entries at or below which a plane is dropped (--thre)
  std::string cost = "weights";  // what a bit of a layer costs in the penalty; or bops

  // In place of alpha (engine/methods/bsq/budget_controller.h).
  double budget_bits = 0;               // per weight; 0: no budget
  std::string budget_count = "stored";  // budget_counts()
  double budget_alpha = 0.02;           // the strength at most
  bool alpha_is_set = false;            // by a person

  bool has_budget() const { return budget_bits > 0; }
  BitBudget budget() const { return {budget_bits, budget_count_named(budget_count)}; }
};

void add_bsq_keys(ConfigSchema& schema);

}  // namespace bsq
