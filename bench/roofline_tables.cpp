#include "bench/roofline_tables.h"

#include "kernels/base/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <sstream>

namespace bsq::bench {
namespace {

using Cells = std::vector<std::string>;

constexpr std::string_view kBegin = "<!-- table ";
constexpr std::string_view kEnd = "<!-- end -->";
constexpr std::string_view kMeasured = "measured";

std::string line_of(const Cells& cells) {
  return fmt::format("| {} |\n", fmt::join(cells, " | "));
}

/// The cells of a line `| a | b |`; any other line has none.
Cells cells_of(const std::string& line) {
  Cells cells;
  if (!line.starts_with("| ")) return cells;
  std::size_t from = 2;
  for (std::size_t bar; (bar = line.find('|', from)) != std::string::npos; from = bar + 2) {
    const std::string cell = line.substr(from, bar - from);
    cells.push_back(cell.substr(0, cell.find_last_not_of(' ') + 1));
  }
  return cells;
}

/// Takes over what somebody has written into the columns headed "measured", or, if the first one is, into any.
void keep_measured(Table& table, const std::vector<Cells>& before) {
  if (before.empty()) return;
  const Cells& old_head = before.front();
  if (table.head.front().starts_with(kMeasured)) {
    for (std::size_t line = 2; line < before.size(); ++line) table.rows.push_back(before[line]);
    return;
  }
  for (std::size_t column = 0; column < table.head.size(); ++column) {
    if (!table.head[column].starts_with(kMeasured)) continue;
    const auto place = std::ranges::find(old_head, table.head[column]) - old_head.begin();
    for (Cells& row : table.rows)
      for (const Cells& old : before)
        if (place < std::ssize(old) && old.front() == row.front()) row[column] = old[static_cast<std::size_t>(place)];
  }
}

}  // namespace

std::string Table::markdown() const {
  std::string text = line_of(head) + "|";
  for (std::size_t i = 0; i < head.size(); ++i) text += i == 0 ? "---|" : "--:|";
  text += "\n";
  for (const Cells& row : rows) {
    require(row.size() == head.size(), "table {}: a row of {} cells under {}", name, row.size(), head.size());
    text += line_of(row);
  }
  return text;
}

std::vector<Table> roofline_tables() {
  std::vector<Table> tables = step_tables();
  for (Table& table : scaling_tables()) tables.push_back(std::move(table));
  return tables;
}

std::string with_tables(const std::string& document, const std::vector<Table>& tables) {
  std::istringstream lines(document);
  std::string result;
  std::vector<std::string> written;
  for (std::string line; std::getline(lines, line);) {
    result += line + "\n";
    if (!line.starts_with(kBegin)) continue;
    const std::string name = line.substr(kBegin.size(), line.find(' ', kBegin.size()) - kBegin.size());
    const auto found = std::ranges::find_if(tables, [&](const Table& table) { return table.name == name; });
    if (found == tables.end()) fail(ErrorKind::usage, "there is no table {}", name);
    std::vector<Cells> before;
    while (std::getline(lines, line) && line != kEnd) before.push_back(cells_of(line));
    if (line != kEnd) fail(ErrorKind::usage, "table {} does not end in {}", name, kEnd);
    Table table = *found;
    keep_measured(table, before);
    result += table.markdown() + line + "\n";
    written.push_back(name);
  }
  for (const Table& table : tables)
    if (std::ranges::count(written, table.name) != 1)
      fail(ErrorKind::usage, "table {} must stand in the document once", table.name);
  return result;
}

}  // namespace bsq::bench
