// The table of network families: a line each, the first is the default.
#pragma once

#include "engine/config/config_schema.h"

#include <vector>

namespace bsq {

struct NetworkFamily : ConfigChoice {};

const std::vector<NetworkFamily>& network_families();

}  // namespace bsq
