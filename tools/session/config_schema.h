// Which data sets, network families and methods this program has.
#pragma once

#include "engine/config/config_schema.h"

namespace bsq {

/// The schema of the three tables: always the same object.
const ConfigSchema& config_schema();
/// Whether a configuration has a key of this name.
bool is_config_key(const std::string& name);

}  // namespace bsq
