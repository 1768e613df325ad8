// The table of stages: a line each, in the order in which they may run.
#pragma once

#include "engine/config/config_schema.h"

#include <vector>

namespace bsq {

struct MethodEntry : StageChoice {};

const std::vector<MethodEntry>& methods();

}  // namespace bsq
