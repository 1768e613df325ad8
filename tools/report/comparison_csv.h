// The tables and figures of several runs as CSV, with all digits.
#pragma once

#include "tools/report/comparison.h"
#include "tools/report/comparison_figures.h"
#include "tools/report/width_figures.h"

#include <string>
#include <vector>

namespace bsq {

std::string comparison_csv(const std::vector<RunReport>& reports);
std::string groups_csv(const Comparison& comparison);
/// Bits of every layer in every setting.
std::string precision_csv(const LayerComparison& layers);
/// Bits of every layer in every run, with its size.
std::string widths_csv(const std::vector<BudgetPanel>& panels);
/// Operations and bytes of every layer in every setting, and their shares.
std::string shares_csv(const ShareComparison& shares);

}  // namespace bsq
