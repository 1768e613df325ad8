// What no single key can tell: conflicts between the values of a Config.
#pragma once

#include "engine/config/config.h"

#include <string>
#include <vector>

namespace bsq {

struct Conflict {
  std::vector<std::string> keys;  // in conflict, the likeliest culprit first
  std::string what;
  bool only_in_runs = false;  // a plan, as of a dry run, can be made nevertheless
  bool is_of_pixels = false;  // whoever only looks at images can do without
};

/// Everything that makes a Config impossible to run; empty if it is sound. Looks at no file and no data.
std::vector<Conflict> find_conflicts(const Config& config);

}  // namespace bsq
