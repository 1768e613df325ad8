// Text tables for a terminal: aligned columns, a rule under the header, two spaces between columns, ASCII only.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace bsq {

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::right;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell per column; missing ones are empty. Control characters become '?': cells may come from foreign files.
  void add_row(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  const std::vector<Column>& columns() const { return columns_; }
  const std::vector<std::vector<std::string>>& rows() const { return rows_; }
  /// The table as lines without spaces at their ends. Each begins with `indent` and ends with a newline.
  std::string text(const std::string& indent = "") const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// `text` without control characters and at most `width` letters long, the middle left out if it must be.
std::string shortened(std::string text, std::size_t width);

/// A cell of a CSV file: a number in full precision, nothing where there is none.
std::string csv_cell(const std::optional<double>& value);
/// A text as a cell of CSV, in quotes if it must be; bytes that are no UTF-8 are shown as `\xE9`.
std::string csv_cell(const std::string& bytes);

}  // namespace bsq
