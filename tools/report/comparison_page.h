// The report of several runs: a page, its figures and its tables as files.
#pragma once

#include "tools/report/comparison.h"
#include "tools/report/report_page.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bsq {

/// `links[i]`: the link from the page to the page of run i.
Page comparison_page(const Comparison& comparison, const std::vector<RunReport>& reports,
                     const std::vector<std::string>& links);

/// Writes index.html, the figures, comparison.csv, groups.csv and, if there is something in them, precision.csv,
/// widths.csv, shares.csv and published.csv.
void write_comparison_files(const std::vector<RunReport>& reports, const std::vector<std::string>& links,
                            const std::filesystem::path& folder);

}  // namespace bsq
