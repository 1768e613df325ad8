// Keys of section `model` that belong to families of networks.
#pragma once

#include "engine/config/config_checks.h"

#include <vector>

namespace bsq {

/// A key that was set, and that the family model.arch has not.
void check_family_keys(const Config& config, std::vector<Conflict>& conflicts);

}  // namespace bsq
