// The model that a run began with (model.init), by the logs of the run that has made it.
#pragma once

#include "tools/report/run_report.h"

namespace bsq {

/// Whether a key is part of what a run does, its seed apart.
bool matters(const ConfigKey& key);

/// Empty if there is no model.init, if it lies in no run that can be read, or if that run was tested on other images.
StartModel start_of(const RunReport& report);

}  // namespace bsq
