// Which data sets, network families and methods this program has.
#pragma once

#include "engine/config/config_schema.h"

namespace bsq {

/// Of the three tables. The same object always.
const ConfigSchema& config_schema();

}  // namespace bsq
