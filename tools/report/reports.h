// Where the files of reports go.
#pragma once

#include "tools/report/run_report.h"

#include <filesystem>
#include <vector>

namespace bsq {

/// Writes the report of every run into <run>/report/; if there are several, also their comparison into report/ in the
/// folder that they have in common. With a `folder`, the one report or the comparison goes there, and the reports of
/// several runs into folders below. Returns the page to open. Throws Error(usage) if several runs have no folder in
/// common, or if a page that bsq has not written is there.
std::filesystem::path write_reports(const std::vector<RunReport>& reports, const std::filesystem::path& folder = {});

/// Throws Error(usage) if the folder has an index.html that bsq has not written.
void refuse_foreign_page(const std::filesystem::path& folder);

}  // namespace bsq
