// A report as one HTML file that opens anywhere, with no other file and no network: text, tables, figures.
#pragma once

#include "tools/report/file_set.h"
#include "tools/report/report_figures.h"
#include "tools/report/table.h"

#include <string>
#include <utility>
#include <vector>

namespace bsq {

struct PageTable {
  std::string title = {};
  Table table;
  std::string note = {};
  std::string data_file = {};           // the file beside the page that has the same with all digits
  std::vector<std::string> links = {};  // per row, for its first cell; empty: none
};

struct PageSection {
  std::string title = {};
  std::vector<std::string> paragraphs = {};
  std::vector<std::pair<std::string, std::string>> facts = {};  // name, value
  std::vector<PageTable> tables = {};
  std::vector<ReportFigure> figures = {};
  std::vector<std::pair<std::string, std::string>> texts = {};  // title, text shown as it is
};

struct Page {
  std::string title = {};
  std::string subtitle = {};
  std::vector<std::string> notices = {};                          // what a reader must know first
  std::vector<std::pair<std::string, std::string>> numbers = {};  // name, value: the results in large letters
  std::vector<PageSection> sections = {};
};

/// The text of the file. Whatever the strings hold is shown as text.
std::string html_of(const Page& page);

/// Puts every figure of a page beside it, as a file of its own.
void add_figures(FileSet& files, const Page& page);

/// Whether a file is such a page: other people's pages are not to be written over.
bool is_report_page(const std::string& html);

}  // namespace bsq
