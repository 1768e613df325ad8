// The figures of one run. A figure that the run has nothing for yet is left out.
#pragma once

#include "tools/report/charts/svg.h"
#include "tools/report/run_report.h"

#include <optional>
#include <string>
#include <vector>

namespace bsq {

/// A figure once more with something added, that a page shows instead if its reader wants it.
struct FigureLayer {
  charts::Svg svg;
  std::string label;  // of the switch: what is added
  std::string note;   // how to read that
};

struct ReportFigure {
  charts::Svg svg;
  std::string note;  // how to read it
  std::optional<FigureLayer> layer = {};
};

/// Bits of every layer; bits of every layer over the re-quantizations; ones of every plane; weights on their grid.
std::vector<ReportFigure> bit_figures(const RunReport& report);
/// Loss, accuracy, penalty and bits over the epochs of all stages.
std::vector<ReportFigure> training_figures(const RunReport& report);

}  // namespace bsq
