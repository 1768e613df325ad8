// Reading the table, which is a part of the program.
#include "tools/report/published/published_rows.h"

#include "kernels/base/error.h"

#include <charconv>
#include <sstream>
#include <string_view>

namespace bsq {

extern const char* const kPublishedRows;  // made of published_rows.csv when the program is built

namespace {

constexpr std::size_t kNumColumns = 12;

/// What the networks of the table are called in reports.
struct NetworkName {
  std::string_view in_table;
  std::string_view words;
};
constexpr NetworkName kNetworkNames[] = {{"resnet20", "resnet depth 20, width 16"},
                                         {"resnet18", "torchvision_resnet depth 18"},
                                         {"resnet50", "torchvision_resnet depth 50"}};

std::vector<std::string> cells_of_line(const std::string& line) {
  std::vector<std::string> cells(1);
  for (const char letter : line) {
    if (letter == ',')
      cells.emplace_back();
    else
      cells.back() += letter;
  }
  if (cells.size() != kNumColumns) fail(ErrorKind::internal, "published_rows.csv: {} has {} cells", line, cells.size());
  return cells;
}

std::optional<double> number_of_cell(const std::string& cell) {
  if (cell.empty()) return std::nullopt;
  double value = 0;
  const auto [end, code] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (code != std::errc() || end != cell.data() + cell.size())
    fail(ErrorKind::internal, "published_rows.csv: {} is no number", cell);
  return value;
}

PublishedRow published_row(const std::vector<std::string>& cells) {
  return {.network = cells[0],
          .data = cells[1],
          .method = cells[2],
          .year = cells[3],
          .weight_bits = cells[4],
          .act_bits = cells[5],
          .ratio_published = number_of_cell(cells[6]),
          .ratio_stored = number_of_cell(cells[7]),
          .top1 = number_of_cell(cells[8]).value_or(0),
          .float_top1 = number_of_cell(cells[9]),
          .evidence = cells[10],
          .remark = cells[11]};
}

}  // namespace

std::optional<double> PublishedRow::stored_bits() const {
  constexpr double kBitsInFloat = 32;
  return ratio_stored ? std::optional(kBitsInFloat / *ratio_stored) : std::nullopt;
}

const std::string& published_csv() {
  static const std::string text = kPublishedRows;
  return text;
}

std::vector<PublishedRow> published_rows(const std::string& network_words, const std::string& data) {
  std::string network;
  for (const NetworkName& name : kNetworkNames)
    if (name.words == network_words) network = name.in_table;
  std::vector<PublishedRow> rows;
  std::istringstream lines(published_csv());
  std::string line;
  std::getline(lines, line);  // the names of the columns
  while (std::getline(lines, line)) {
    PublishedRow row = published_row(cells_of_line(line));
    if (row.network == network && row.data == data) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace bsq
