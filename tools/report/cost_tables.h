// What a run and its model cost: time, memory, operations, bytes.
#pragma once

#include "tools/report/run_report.h"
#include "tools/report/table.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace bsq {

/// One row per stage that has begun: time, memory, trainable numbers.
Table cost_table(const RunReport& report);
extern const char* const kCostNotes;

/// One row per layer that multiplies: multiply-adds, BOPs and bytes with their shares; empty without a model.
Table operations_table(const RunReport& report);
extern const char* const kOperationsNotes;
/// One line: all operations of an image; empty without a model.
std::string operations_text(const RunReport& report);
std::string operations_csv(const RunReport& report);
nlohmann::ordered_json operations_json(const RunReport& report);

/// `12.34` millions; empty if there are none.
std::string millions_text(const std::optional<double>& count);
/// `12.34` milliseconds.
std::string milliseconds_text(const std::optional<double>& seconds);
/// In percent; 0 of nothing.
double share_of(double part, double whole);

}  // namespace bsq
