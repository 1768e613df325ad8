// Cells, their marks and the scale of colours (tools/report/charts/heat_map.h).
#include "tools/report/charts/heat_map.h"

#include "tools/report/charts/xml_text.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bsq::charts {
namespace {

constexpr double kRowHeight = 21;
constexpr double kWidestColumn = 58;
constexpr double kNarrowColumn = 9;  // pixels; narrower columns have no gaps, and marks only where bits grow
constexpr double kLegendWidth = 26;
constexpr double kLegendHeight = 13;
constexpr double kGroupGap = 12;       // between groups of columns
constexpr double kGroupLine = 18;      // for their names
constexpr double kNarrowestName = 15;  // of a column with a name; many make the picture wider
constexpr double kNamesSlanted = -45, kNamesSteep = -90;

struct Layout {
  Box plot;
  double column = 0;
  std::vector<double> lefts;  // of columns
  double turn = 0;            // of their names
  double width = kChartWidth;
  double height = 0;
  bool narrow() const { return column < kNarrowColumn; }
  double center(std::size_t i) const { return lefts[i] + column / 2; }
};

double widest_name(const std::vector<std::string>& names) {
  double width = 0;
  for (const std::string& name : names) width = std::max(width, text_width(name, kSmallSize));
  return width;
}

/// Upright if they fit, else slanted if they do not lead out of the picture, else steep.
double turn_of(const HeatMap& map, const Layout& layout) {
  const double widest = widest_name(map.columns);
  if (!map.names || widest < layout.column - 4) return 0;
  return layout.column > kSmallSize * 1.7 && widest * std::numbers::sqrt2 / 2 < layout.plot.left ? kNamesSlanted
                                                                                                 : kNamesSteep;
}

/// The height of the names under the columns.
double names_height(const HeatMap& map, double turn) {
  if (turn == 0) return kTextSize + 8;
  return widest_name(map.columns) * std::sin(-turn * std::numbers::pi / 180) + kSmallSize + 8;
}

std::vector<double> lefts_of(const HeatMap& map, const Layout& layout) {
  std::vector<double> lefts;
  double left = layout.plot.left;
  std::size_t group = 0, in_group = 0, count = map.columns.size();
  for (const std::vector<HeatCell>& row : map.cells) count = std::max(count, row.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (group < map.groups.size() && in_group == map.groups[group].columns) {
      left += kGroupGap;
      ++group;
      in_group = 0;
    }
    lefts.push_back(left);
    left += layout.column;
    ++in_group;
  }
  return lefts;
}

bool has_group_names(const HeatMap& map) {
  return std::any_of(map.groups.begin(), map.groups.end(), [](const HeatGroup& group) { return !group.name.empty(); });
}

Layout lay_out(const HeatMap& map) {
  Layout layout;
  const double left = 14 + (map.y_title.empty() ? 0 : kTextSize + 10) + widest_name(map.rows) + 8;
  const auto count = static_cast<double>(std::max<std::size_t>(map.columns.size(), 1));
  const double gaps = map.groups.empty() ? 0 : kGroupGap * static_cast<double>(map.groups.size() - 1);
  layout.column = std::clamp((kChartWidth - left - 22 - gaps) / count, map.names ? kNarrowestName : 0, kWidestColumn);
  const bool marks = !map.fallen.empty() || !map.grown.empty();
  const double top = heading_height(kChartWidth, {}) + 28 + (marks ? 2 : 0) + (has_group_names(map) ? kGroupLine : 0);
  layout.plot = {left, top, layout.column * count + gaps, kRowHeight * static_cast<double>(map.rows.size())};
  layout.width = std::max(kChartWidth, layout.plot.right() + 22);
  layout.lefts = lefts_of(map, layout);
  layout.turn = turn_of(map, layout);
  layout.height = layout.plot.bottom() + names_height(map, layout.turn) + kTextSize + 10 + 12;
  return layout;
}

double share_of(const HeatMap& map, double value) {
  const Range range = drawable(map.range);
  return (value - range.low) / (range.high - range.low);
}

void draw_legend(Svg& svg, const HeatMap& map, double top, bool narrow) {
  double x = 14;
  for (const auto& [value, name] : map.legend) {
    const double width = std::max(kLegendWidth, text_width(name, kSmallSize) + 8);
    svg.rect({x, top, width, kLegendHeight + 3}, step(share_of(map, value)));
    svg.text({x + width / 2, top + kLegendHeight - 1}, name,
             {.size = kSmallSize, .anchor = Anchor::middle, .color = on_step(share_of(map, value))});
    x += width;
  }
  x += 18;
  const auto mark = [&](const std::string& name, MarkerShape shape, const Color& color) {
    if (name.empty()) return;
    svg.marker({x + 5, top + 7}, 4, shape, color);
    svg.text({x + 15, top + kLegendHeight - 1}, name, {.size = kSmallSize});
    x += 15 + text_width(name, kSmallSize) + 14;
  };
  if (!narrow) mark(map.fallen, MarkerShape::down_triangle, ink());
  mark(map.grown, MarkerShape::triangle, series(1));
}

/// The end of the run of cells that look like `cells[begin]` and need not be told apart.
std::size_t run_end(const std::vector<HeatCell>& cells, std::size_t begin, const Layout& layout) {
  std::size_t end = begin + 1;
  if (!layout.narrow()) return end;
  while (end < cells.size() && cells[end].change == 0 && cells[end].value == cells[begin].value) ++end;
  return end;
}

void draw_row(Svg& svg, const HeatMap& map, const Layout& layout, std::size_t row) {
  const double gap = layout.narrow() ? 0 : 1;
  const double top = layout.plot.top + static_cast<double>(row) * kRowHeight;
  const std::vector<HeatCell>& cells = map.cells[row];
  for (std::size_t begin = 0; begin < cells.size();) {
    const std::size_t end = run_end(cells, begin, layout);
    const HeatCell& cell = cells[begin];
    const double left = layout.lefts[begin];
    const double width = static_cast<double>(end - begin) * layout.column;
    begin = end;
    if (!std::isfinite(cell.value)) continue;
    const double share = share_of(map, cell.value);
    std::string tooltip = cell.tooltip;
    if (end - 1 < map.columns.size() && &cells[end - 1] != &cell) tooltip += " (until " + map.columns[end - 1] + ")";
    svg.rect({left + gap / 2, top + 0.5, width - gap, kRowHeight - 1}, step(share), tooltip);
    const bool marked = cell.change > 0 || (cell.change < 0 && !layout.narrow());
    if (text_width(cell.text, kSmallSize) + (marked ? 20 : 2) < width)
      svg.text({left + width / 2, top + kRowHeight / 2 + 4}, cell.text,
               {.size = kSmallSize, .anchor = Anchor::middle, .color = on_step(share)});
    if (!marked) continue;
    const double size = std::min(3.6, std::max(1.6, layout.column / 3));
    const double at = layout.column < 24 ? left + std::min(layout.column, width) / 2 : left + 8;
    const bool alone = layout.column < 24;
    svg.marker({at, cell.change > 0 ? top + (alone ? 4 : 8) : top + kRowHeight - (alone ? 4 : 8)}, size,
               cell.change > 0 ? MarkerShape::triangle : MarkerShape::down_triangle,
               cell.change > 0 ? series(1) : on_step(share));
  }
}

void draw_column_names(Svg& svg, const HeatMap& map, const Layout& layout) {
  const double room = (widest_name(map.columns) + 6) / std::max(layout.column, 0.1);
  std::size_t every = 1;
  for (const std::size_t round : {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000})
    if (!map.names && static_cast<double>(every) < room) every = round;
  for (std::size_t i = 0; i < map.columns.size(); i += every) {
    const Place place = layout.turn == 0
                            ? Place{layout.center(i), layout.plot.bottom() + kTextSize + 4}
                            : Place{layout.center(i) + kSmallSize * 0.35, layout.plot.bottom() + kSmallSize};
    svg.text(place, map.columns[i],
             {.size = kSmallSize,
              .anchor = layout.turn == 0 ? Anchor::middle : Anchor::end,
              .color = muted(),
              .turned = layout.turn});
  }
}

void draw_group_names(Svg& svg, const HeatMap& map, const Layout& layout) {
  std::size_t first = 0;
  for (const HeatGroup& group : map.groups) {
    if (group.columns == 0 || first + group.columns > map.columns.size()) continue;
    const double left = layout.lefts[first], right = layout.lefts[first + group.columns - 1] + layout.column;
    const double line = layout.plot.top - 4;
    first += group.columns;
    if (group.name.empty() || text_width(group.name, kSmallSize) > right - left + kGroupGap - 2) continue;
    svg.line({left + 1, line}, {right - 1, line}, {muted()});
    svg.text({(left + right) / 2, line - 4}, group.name, {.size = kSmallSize, .anchor = Anchor::middle});
  }
}

void draw_labels(Svg& svg, const HeatMap& map, const Layout& layout) {
  for (std::size_t row = 0; row < map.rows.size(); ++row)
    svg.text({layout.plot.left - 8, layout.plot.top + (static_cast<double>(row) + 0.5) * kRowHeight + 4}, map.rows[row],
             {.size = kSmallSize, .anchor = Anchor::end});
  draw_column_names(svg, map, layout);
  draw_group_names(svg, map, layout);
  const double middle = layout.plot.left + std::max(layout.plot.width, 200.0) / 2;
  svg.text({middle, layout.height - 16}, map.x_title, {.anchor = Anchor::middle});
  svg.text({14 + kTextSize * 0.8, layout.plot.top + layout.plot.height / 2}, map.y_title,
           {.anchor = Anchor::middle, .turned = -90});
}

}  // namespace

Svg draw(const HeatMap& map) {
  const Layout layout = lay_out(map);
  Svg svg(layout.width, layout.height, map.text.id, map.text.title, map.text.description);
  draw_heading(svg, {});
  draw_legend(svg, map, heading_height(kChartWidth, {}), layout.narrow());
  for (std::size_t row = 0; row < std::min(map.rows.size(), map.cells.size()); ++row) draw_row(svg, map, layout, row);
  draw_labels(svg, map, layout);
  return svg;
}

}  // namespace bsq::charts
