// Widths first, then lines.
#include "tools/report/table.h"

#include "engine/base/text.h"
#include "kernels/base/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace bsq {
namespace {

constexpr const char* kGap = "  ";

std::string padded(const std::string& cell, std::size_t width, Align align) {
  const std::string spaces(width - std::min(width, cell.size()), ' ');
  return align == Align::left ? cell + spaces : spaces + cell;
}

std::string one_line(std::string text) {
  text = without_control_characters(std::move(text));
  std::replace(text.begin(), text.end(), '\n', '?');
  return text;
}

}  // namespace

void Table::add_row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = one_line(std::move(cell));
  rows_.push_back(std::move(cells));
}

std::string Table::text(const std::string& indent) const {
  std::vector<std::string> titles, rules;
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = columns_[i].title.size();
    for (const std::vector<std::string>& row : rows_) width = std::max(width, row[i].size());
    titles.push_back(columns_[i].title);
    rules.emplace_back(width, '-');
    widths.push_back(width);
  }
  std::string text;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line = indent;
    for (std::size_t i = 0; i < cells.size(); ++i)
      line += (i == 0 ? "" : kGap) + padded(cells[i], widths[i], columns_[i].align);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add_line(titles);
  add_line(rules);
  for (const std::vector<std::string>& row : rows_) add_line(row);
  return text;
}

std::string shortened(std::string text, std::size_t width) {
  constexpr std::size_t kDots = 3;
  text = one_line(std::move(text));
  if (text.size() <= width || width <= kDots) return text;
  const std::size_t tail = (width - kDots) / 3;
  return text.substr(0, width - kDots - tail) + "..." + text.substr(text.size() - tail);
}

std::string csv_cell(const std::string& bytes) {
  const std::string text = shown_name(bytes);  // or no reader takes the whole file
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string cell = "\"";
  for (const char c : text) cell += c == '"' ? "\"\"" : std::string(1, c);
  return cell + "\"";
}

std::string csv_cell(const std::optional<double>& value) {
  return value ? fmt::format("{}", *value) : "";
}

}  // namespace bsq
