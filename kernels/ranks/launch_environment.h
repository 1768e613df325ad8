// Whether this process is one of several that a launcher has started, by the variables that launchers set.
#pragma once

#include "kernels/ranks/communicator.h"

#include <cstdlib>
#include <functional>
#include <optional>
#include <string>

namespace bsq {

struct Launch {
  RankPlace place;
  std::string world_variable;  // the one that says how many there are
};

/// nullptr for a variable that is not set.
using EnvironmentLookup = std::function<const char*(const char* name)>;

/// Nothing for a process started by hand. The first launcher whose variables are complete decides. Throws Error(device)
/// if they make no sense.
std::optional<Launch> find_launch(const EnvironmentLookup& look_up = [](const char* name) {
  return std::getenv(name);
});

}  // namespace bsq
