// The tables of several runs, for the terminal and for the page alike.
#pragma once

#include "tools/report/comparison.h"
#include "tools/report/published/published_rows.h"
#include "tools/report/table.h"

#include <filesystem>
#include <vector>

namespace bsq {

/// The folder that all these runs lie in as they were given; empty: none.
std::filesystem::path shared_folder(const std::vector<RunReport>& reports);
/// One row per run, called by its path in that folder.
Table comparison_table(const std::vector<RunReport>& reports);
extern const char* const kComparisonNotes;

/// One row per setting: means and spreads over its runs.
Table groups_table(const Comparison& comparison);
extern const char* const kGroupsNotes;
/// Their sizes and costs.
Table group_costs_table(const Comparison& comparison);
extern const char* const kGroupCostsNotes;

Table published_table(const std::vector<PublishedRow>& rows);
extern const char* const kPublishedNotes;

}  // namespace bsq
