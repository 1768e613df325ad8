// The section `msq` of a configuration: what every training has, the penalty, and when bits go.
#pragma once

#include <string>

namespace bsq {

class ConfigSchema;

struct MsqConfig {
  double strength = 0.05;               // lambda of the penalty
  int prune_interval = 10;              // epochs
  double prune_threshold = 10;          // percent of a tensor's last bits
  double budget_bits = 0;               // per weight; 0: no budget
  std::string budget_count = "stored";  // or published
  int budget_epochs = 0;                // in which bits are taken away; 0: half of the stage

  bool has_budget() const { return budget_bits > 0; }
  /// Whether a sign per weight and a scale per tensor count as well.
  bool counts_stored_bits() const { return budget_count == "stored"; }
};

void add_msq_keys(ConfigSchema& schema);

}  // namespace bsq
