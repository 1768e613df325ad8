// Results as text for a terminal: one table per operation, no wider than the terminal if that is possible.
#pragma once

#include "bench/results.h"

#include <optional>
#include <string>
#include <vector>

namespace bsq::bench {

/// `1.23 ms`, three digits.
std::string time_text(double seconds);
/// `64.1 G`, three digits.
std::string rate_text(double per_second);

/// Two lines: the device, and what it can do.
std::string heading(const Report& report);

/// What a table may leave out.
struct TableOptions {
  int columns = 100;
  const Report* before = nullptr;  // what --against names
};

/// Results of one operation. Columns without any value are left out; if the rest is wider than the terminal, so are
/// B/s, FLOP/s, and then what is known of calls with cold caches.
std::string table_of(const Report& report, const std::vector<Result>& results, const TableOptions& options);

/// How many rows have changed, and how: the last line of --against.
std::string changes_text(const Report& before, const Report& now);

}  // namespace bsq::bench
