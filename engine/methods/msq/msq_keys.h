// The section `msq` of a configuration: what every training has, the penalty, and when bits go.
#pragma once

#include "engine/model/bit_budget.h"

#include <string>

namespace bsq {

class ConfigSchema;

struct MsqConfig {
  double strength = 0.05;               // lambda of the penalty
  int prune_interval = 10;              // epochs
  double prune_threshold = 10;          // percent of a tensor's last bits
  double budget_bits = 0;               // per weight; 0: no budget
  std::string budget_count = "stored";  // budget_counts()
  int budget_epochs = 0;                // in which bits are taken away; 0: half of the stage

  bool has_budget() const { return budget_bits > 0; }
  BitBudget budget() const { return {budget_bits, budget_count_named(budget_count)}; }
};

void add_msq_keys(ConfigSchema& schema);

}  // namespace bsq
