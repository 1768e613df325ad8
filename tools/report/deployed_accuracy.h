// The accuracy of a finished run's model in integers (METHOD 16), beside the one that training reports:
// RUN/deployed.json.
#pragma once

#include "engine/run/console.h"
#include "tools/report/run_report.h"

#include <filesystem>
#include <optional>

namespace bsq {

/// What the file of a run says of the model to use; nothing if there is none, or if it is of another model. Throws
/// Error(checkpoint) if it is damaged.
std::optional<DeployedAccuracy> read_deployed_accuracy(const RunReport& report);

/// Evaluates the model to use on the test set and writes the file, if the model has a form in integers and nobody has
/// done so before. `opened`: the run's configuration, with the data where it is now. Ranges that the model does not say
/// are found on training images. The console says that it takes its time. Throws Error, also where a person asks to
/// stop.
void measure_deployed_accuracy(const RunReport& report, const Config& opened, Console& console);

}  // namespace bsq
