// The tables of bench/ROOFLINE.md, in Markdown, and how they get into it.
//
// In a document a table stands between the lines `<!-- table NAME -->` and `<!-- end -->`. A column that is headed
// "measured" belongs to whoever measures: writing a table anew keeps its cells, found by the first cell of their row.
// If the first column is headed so, all rows are kept.
#pragma once

#include <string>
#include <vector>

namespace bsq::bench {

struct Table {
  std::string name;
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;

  std::string markdown() const;
};

std::vector<Table> step_tables();     // one GPU: rates, steps, groups of kernels, memory, fusions, every kernel
std::vector<Table> scaling_tables();  // many GPUs

/// All tables.
std::vector<Table> roofline_tables();

/// `document` with every table written anew. Throws Error(usage) if it lacks one, names another, or does not end one.
std::string with_tables(const std::string& document, const std::vector<Table>& tables);

}  // namespace bsq::bench
