// The section `csq` of a configuration.
#pragma once

#include <string>

namespace bsq {

class ConfigSchema;

struct CsqConfig {
  double target_bits = 3;
  double budget_strength = 0.01;  // lambda of the published recipe
  double end_temperature = 200;
  int hard_mask_epochs = 5;
  std::string count = "weights";  // or masks
  bool meet_target = true;
};

void add_csq_keys(ConfigSchema& schema);

}  // namespace bsq
