// Accuracy against size: settings with their spread over seeds, the best of each method and of all; beside them, if a
// reader wants it, what others have published.
#pragma once

#include "tools/report/comparison.h"
#include "tools/report/published/published_rows.h"
#include "tools/report/report_figures.h"

#include <vector>

namespace bsq {

/// What others have published on the network and the images of these runs; empty if runs differ in them, or if nothing
/// is known.
std::vector<PublishedRow> published_rows_beside(const Comparison& comparison);
/// Those that a point can be drawn for: their stored bits are known, and a run has activations of as many bits.
std::vector<PublishedRow> drawn_rows(const std::vector<PublishedRow>& rows, const Comparison& comparison);

ReportFigure pareto_figure(const Comparison& comparison);

}  // namespace bsq
