// A figure: a function and a line in comparison_figures().
#include "tools/report/comparison_figures.h"

#include "engine/base/text.h"
#include "tools/report/charts/bar_chart.h"
#include "tools/report/charts/heat_map.h"
#include "tools/report/pareto_figure.h"
#include "tools/report/width_figures.h"

#include <fmt/format.h>

#include <algorithm>

namespace bsq {
namespace {

using namespace charts;

constexpr std::size_t kMostBars = 6;  // per layer; with more groups a heat map is clearer

ReportFigure bars_of(const LayerComparison& layers, const ChartText& text) {
  BarChart chart{.text = text, .y = {.title = "bits", .range = range_of(0, 1), .whole = true}};
  chart.categories = layers.layers;
  bool spread = false;
  for (std::size_t group = 0; group < layers.groups.size(); ++group) {
    BarSeries& series = chart.series.emplace_back();
    series.name = layers.groups[group]->label;
    for (std::size_t layer = 0; layer < layers.layers.size(); ++layer) {
      const LayerBits& bits = layers.bits[group][layer];
      spread = spread || bits.low < bits.high;
      series.bars.push_back({bits.mean, bits.low, bits.high,
                             fmt::format("{}, {}: {:.3g} bits ({:g} to {:g})", layers.layers[layer], series.name,
                                         bits.mean, bits.low, bits.high)});
    }
  }
  return {draw(chart), spread ? "Mean over seeds; the lines reach from the fewest to the most bits of a seed."
                              : "Planes of the magnitude; the sign is one bit more, of odd levels none."};
}

ReportFigure heat_of(const LayerComparison& layers, const ChartText& text, const std::optional<Strength>& axis) {
  HeatMap map{.text = text, .x_title = "setting", .names = !axis, .range = range_of(0, kMaxBits)};
  for (int bits = 0; bits <= kMaxBits; ++bits) map.legend.push_back({bits, std::to_string(bits)});
  map.rows = layers.layers;
  map.cells.resize(layers.layers.size());
  if (axis) map.x_title = axis->key;
  for (std::size_t group = 0; group < layers.groups.size(); ++group) {
    const RunGroup& one = *layers.groups[group];
    map.columns.push_back(axis ? fmt::format("{:g}", *value_of(one.runs.front()->config, *axis)) : one.label);
    for (std::size_t layer = 0; layer < layers.layers.size(); ++layer) {
      const double mean = layers.bits[group][layer].mean;
      map.cells[layer].push_back(
          {.value = mean,
           .text = fmt::format("{:.2g}", mean),
           .tooltip = fmt::format("{}, {}: {:.3g} bits", layers.layers[layer], one.label, mean)});
    }
  }
  return {draw(map), "Mean over seeds. Planes of the magnitude; the sign is one bit more, of odd levels none."};
}

ReportFigure layers_figure_of(const LayerComparison& layers, const std::optional<Strength>& axis) {
  const ChartText text{"precision", "Bits of every layer",
                       fmt::format("Bits of {} layers under {} settings.", layers.layers.size(), layers.groups.size())};
  return layers.groups.size() <= kMostBars ? bars_of(layers, text) : heat_of(layers, text, axis);
}

}  // namespace

LayerComparison compare_layers(const Comparison& comparison) {
  LayerComparison result;
  if (!comparison.same_network) return result;
  for (const RunGroup& group : comparison.groups) {
    std::vector<LayerBits> bits;
    double runs = 0;
    for (const RunReport* run : group.finished) {
      if (!run->bit_summary) continue;
      const std::vector<TensorBits>& tensors = run->bit_summary->tensors;
      if (bits.empty()) bits.resize(tensors.size(), {0, kMaxBits, 0});
      ++runs;
      if (result.layers.empty())
        for (const TensorBits& tensor : tensors) result.layers.push_back(layer_name(tensor.name));
      for (std::size_t i = 0; i < std::min(bits.size(), tensors.size()); ++i) {
        const double here = tensors[i].empty ? 0 : tensors[i].bits;
        bits[i] = {bits[i].mean + here, std::min(bits[i].low, here), std::max(bits[i].high, here)};
      }
    }
    if (bits.empty()) continue;
    for (LayerBits& layer : bits) layer.mean /= runs;
    result.groups.push_back(&group);
    result.bits.push_back(std::move(bits));
  }
  return result;
}

std::vector<ReportFigure> comparison_figures(const Comparison& comparison) {
  std::vector<ReportFigure> figures;
  const auto has_model = [](const RunGroup& group) { return !group.finished.empty(); };
  if (std::any_of(comparison.groups.begin(), comparison.groups.end(), has_model))
    figures.push_back(pareto_figure(comparison));
  if (const LayerComparison layers = compare_layers(comparison); !layers.groups.empty())
    figures.push_back(layers_figure_of(layers, comparison.axis));
  if (const std::vector<BudgetPanel> panels = panels_of(comparison); !panels.empty())
    figures.push_back(widths_figure(panels));
  if (const ShareComparison shares = compare_shares(comparison); !shares.groups.empty())
    for (ReportFigure& figure : share_figures(shares)) figures.push_back(std::move(figure));
  return figures;
}

}  // namespace bsq
