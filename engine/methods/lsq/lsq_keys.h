// The section `lsq` of a configuration: what every training has, and a budget.
#pragma once

#include "engine/model/bit_budget.h"

#include <string>

namespace bsq {

class ConfigSchema;

struct LsqConfig {
  std::string steps = "tensor";         // or channel: of filters before norms
  double budget_bits = 0;               // per weight; 0: widths never change
  std::string budget_count = "stored";  // budget_counts()
  int budget_epochs = 0;                // in which bits are taken away; 0: half of the stage

  bool has_budget() const { return budget_bits > 0; }
  BitBudget budget() const { return {budget_bits, budget_count_named(budget_count)}; }
};

void add_lsq_keys(ConfigSchema& schema);

}  // namespace bsq
