// Panels (tools/report/charts/histograms.h).
#include "tools/report/charts/histograms.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bsq::charts {
namespace {

constexpr std::size_t kColumns = 4;
constexpr double kPanelHeight = 128;  // with its heading and numbers
constexpr double kPanelPlotHeight = 68;
constexpr double kLeft = 62;
constexpr double kPanelGap = 22;
constexpr double kWidthForGaps = 6;
constexpr std::size_t kMostTooltips = 31;  // a panel with more bins has none: they are too narrow to point at

/// The height of a bar as a share of the highest one: 0 for a count of 0, then logarithmic.
double height_of(double count, double most) {
  return std::log10(1 + count) / std::log10(1 + std::max(most, 1.0));
}

/// The outline of all bars as one shape: a panel may have hundreds.
std::vector<Place> outline(const Histogram& panel, const Box& plot, double most) {
  std::vector<Place> places = {{plot.left, plot.bottom()}};
  const double width = plot.width / static_cast<double>(panel.counts.size());
  for (std::size_t i = 0; i < panel.counts.size(); ++i) {
    const double top = plot.bottom() - plot.height * height_of(static_cast<double>(panel.counts[i]), most);
    const double left = plot.left + width * static_cast<double>(i);
    if (width <= kWidthForGaps) {  // no gaps: one step, unless the bin is as high as the one before
      if (places.size() > 1 && places.back().y == top) places.pop_back();
      if (places.back().y != top) places.push_back({left, top});
      places.push_back({left + width, top});
      continue;
    }
    places.push_back({left + 1, plot.bottom()});
    places.push_back({left + 1, top});
    places.push_back({left + width - 1, top});
    places.push_back({left + width - 1, plot.bottom()});
  }
  places.push_back({plot.right(), plot.bottom()});
  return places;
}

void draw_counts(Svg& svg, const Box& plot, double most, bool with_numbers) {
  for (double count = 1; count <= most; count *= 10) {
    const double y = plot.bottom() - plot.height * height_of(count, most);
    svg.line({plot.left, y}, {plot.right(), y}, {grid()});
    const std::string text = count >= 1e6   ? fmt::format("{:g}M", count / 1e6)
                             : count >= 1e3 ? fmt::format("{:g}k", count / 1e3)
                                            : fmt::format("{:g}", count);
    if (with_numbers)
      svg.text({plot.left - 5, y + 4}, text, {.size = kSmallSize, .anchor = Anchor::end, .color = muted()});
  }
}

void draw_panel(Svg& svg, const Histogram& panel, const Box& plot, double most, bool first_in_row) {
  svg.text({plot.left, plot.top - 19}, panel.name, {.size = kTextSize, .bold = true});
  svg.text({plot.left, plot.top - 5}, panel.note, {.size = kSmallSize, .color = muted()});
  draw_counts(svg, plot, most, first_in_row);
  if (!panel.counts.empty()) svg.polygon(outline(panel, plot, most), series(0));
  svg.line({plot.left, plot.bottom()}, {plot.right(), plot.bottom()}, {muted()});
  const auto number = [&](double x, double value, Anchor anchor) {
    svg.text({x, plot.bottom() + kSmallSize + 4}, fmt::format("{:.2g}", value),
             {.size = kSmallSize, .anchor = anchor, .color = muted()});
  };
  number(plot.left, panel.low, Anchor::start);
  number(plot.right(), panel.high, Anchor::end);
  if (panel.low < 0 && panel.high > 0) number(plot.left + plot.width / 2, 0, Anchor::middle);
  if (panel.counts.empty() || panel.counts.size() > kMostTooltips) return;
  const double width = plot.width / static_cast<double>(panel.counts.size());
  const double bin = (panel.high - panel.low) / std::max<double>(static_cast<double>(panel.counts.size()) - 1, 1);
  for (std::size_t i = 0; i < panel.counts.size(); ++i)
    svg.tooltip_area({plot.left + width * static_cast<double>(i), plot.top, width, plot.height},
                     fmt::format("{:.4g}: {} weights", panel.low + bin * static_cast<double>(i), panel.counts[i]));
}

}  // namespace

Svg draw(const Histograms& histograms) {
  std::int64_t most = 1;
  for (const Histogram& panel : histograms.panels)
    for (const std::int64_t count : panel.counts) most = std::max(most, count);
  const double top = heading_height(kChartWidth, {}) + 8;
  const std::size_t rows = (histograms.panels.size() + kColumns - 1) / kColumns;
  const double height = top + kPanelHeight * static_cast<double>(rows) + kTextSize + 18;
  Svg svg(kChartWidth, height, histograms.text.id, histograms.text.title, histograms.text.description);
  draw_heading(svg, {});
  const double width = (kChartWidth - kLeft - 14 - kPanelGap * (kColumns - 1)) / kColumns;
  for (std::size_t i = 0; i < histograms.panels.size(); ++i) {
    const std::size_t column = i % kColumns, row = i / kColumns;
    const Box plot{kLeft + (width + kPanelGap) * static_cast<double>(column),
                   top + 32 + kPanelHeight * static_cast<double>(row), width, kPanelPlotHeight};
    draw_panel(svg, histograms.panels[i], plot, static_cast<double>(most), column == 0);
  }
  svg.text({kChartWidth / 2, height - 14}, histograms.x_title, {.anchor = Anchor::middle});
  svg.text({14 + kTextSize * 0.8, top + kPanelHeight * static_cast<double>(rows) / 2}, histograms.y_title,
           {.anchor = Anchor::middle, .turned = -90});
  return svg;
}

}  // namespace bsq::charts
