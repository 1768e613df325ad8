// Which data sets, network families and methods this program has.
#pragma once

#include "engine/config/config_schema.h"

namespace bsq {

/// The schema of the three tables: always the same object.
const ConfigSchema& config_schema();

}  // namespace bsq
