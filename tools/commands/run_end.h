// What is done when all stages of a run are over.
#pragma once

#include "engine/config/config.h"
#include "engine/run/console.h"
#include "engine/run/run_directory.h"

#include <filesystem>

namespace bsq {

/// Writes the report of a complete run, and its tables to stdout unless `quiet`. The run stays complete whatever
/// becomes of them: a row of its logs that somebody has damaged, a full disk, a reader who is gone are warnings.
/// `opened`: its configuration, with the data where it is now.
void report_run(const std::filesystem::path& run, const Config& opened, bool quiet, Console& console);

/// The same if the run was killed while it wrote its report: the page is the last file of it.
void finish_report(const RunDirectory& directory, const Config& opened, bool quiet, Console& console);

}  // namespace bsq
