// The tables of a report, for the terminal and for the page alike, and the sentences that go with them.
#pragma once

#include "tools/report/run_report.h"
#include "tools/report/table.h"

#include <string>

namespace bsq {

/// Stored bits per weight; empty if they are unknown.
std::string stored_text(const StageResult& result);
/// One row per stage: accuracy, bits, ratios.
Table stages_table(const RunReport& report);
std::string stages_notes(const RunReport& report);

/// One line: what the quantized model is worth against the float one; empty if there is none.
std::string verdict(const RunReport& report);
/// One line: what the model comes to in integers; empty if nobody has measured it.
std::string deployed_text(const RunReport& report);
/// A line per stage under a budget of bits: what it came to, and how; empty if there is none.
std::string budget_text(const RunReport& report);
/// One line: network, data, activations, seed.
std::string experiment_text(const Config& config);
/// An entry of env.json, or `unknown`.
std::string text_of(const nlohmann::json& environment, const char* key);

}  // namespace bsq
