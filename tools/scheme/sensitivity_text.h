// A sensitivity as a table for a terminal, as CSV, as a figure, and as JSON that can be read again.
#pragma once

#include "tools/report/charts/svg.h"
#include "tools/report/table.h"
#include "tools/scheme/sensitivity.h"

#include <filesystem>
#include <string>

namespace bsq {

/// A row per layer, a column per width, the widest first.
Table sensitivity_table(const Sensitivity& sensitivity);
/// A line per layer and width: `layer,weights,layer_bits,fixed,bits,loss_rise`.
std::string sensitivity_csv(const Sensitivity& sensitivity);
charts::Svg sensitivity_figure(const Sensitivity& sensitivity);

std::string to_json_text(const Sensitivity& sensitivity);
/// Reads what to_json_text() has written, and somebody may have changed. Throws Error(usage) naming the file.
Sensitivity read_sensitivity(const std::filesystem::path& file);

}  // namespace bsq
