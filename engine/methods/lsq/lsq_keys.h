// The section `lsq` of a configuration: what every training has, and a budget.
#pragma once

#include <string>

namespace bsq {

class ConfigSchema;

struct LsqConfig {
  std::string steps = "tensor";         // or channel: of filters before norms
  double budget_bits = 0;               // per weight; 0: widths never change
  std::string budget_count = "stored";  // or published
  int budget_epochs = 0;                // in which bits are taken away; 0: half of the stage

  bool has_budget() const { return budget_bits > 0; }
  /// Whether a sign per weight and a scale per tensor count as well.
  bool counts_stored_bits() const { return budget_count == "stored"; }
};

void add_lsq_keys(ConfigSchema& schema);

}  // namespace bsq
