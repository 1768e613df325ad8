// Where the files of reports go.
#pragma once

#include "tools/report/run_report.h"

#include <filesystem>
#include <vector>

namespace bsq {

/// Of one run into <run>/report/. Of several: that of each likewise, and the comparison into report/ in the folder that
/// they have in common. With a `folder` the one report, or the comparison, into it, and the runs' own into folders
/// below. Returns the page to open. Throws Error(usage) if several runs have no folder in common, or a
/// page of somebody else is there.
std::filesystem::path write_reports(const std::vector<RunReport>& reports, const std::filesystem::path& folder = {});

}  // namespace bsq
