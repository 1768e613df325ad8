// Which depths a family of networks has.
#pragma once

#include "engine/config/config_checks.h"

namespace bsq {

/// n blocks of `layers` layers beside `others`, n >= 1: 6n+2 is {6, 2}.
struct DepthRule {
  int layers = 0;
  int others = 0;

  bool allows(int depth) const { return depth >= layers + others && (depth - others) % layers == 0; }
  int blocks(int depth) const { return (depth - others) / layers; }
  /// "6n+2, such as 20 or 26": the legal ones about this one.
  std::string words(int depth) const;
};

/// Adds a conflict unless the rule allows model.depth; `why` follows the rule, such as " with model.block bottleneck".
void check_depth(const Config& config, const DepthRule& rule, const std::string& why, std::vector<Conflict>& conflicts);

}  // namespace bsq
