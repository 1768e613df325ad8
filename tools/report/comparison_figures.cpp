// The two figures of a sweep.
#include "tools/report/comparison_figures.h"

#include "engine/base/text.h"
#include "tools/report/bits_text.h"
#include "tools/report/charts/bar_chart.h"
#include "tools/report/charts/heat_map.h"
#include "tools/report/charts/scatter_chart.h"

#include <fmt/format.h>

#include <algorithm>

namespace bsq {
namespace {

using namespace charts;

constexpr std::size_t kMostBars = 6;  // per layer; with more groups a heat map is clearer

std::string seeds_text(const RunGroup& group) {
  return group.finished.size() == 1 ? fmt::format("seed {}", group.finished.front()->config.seed)
                                    : fmt::format("{} seeds", group.finished.size());
}

void add_point(ScatterChart& chart, const RunGroup& group) {
  auto series = std::find_if(chart.series.begin(), chart.series.end(),
                             [&](const ScatterSeries& one) { return one.name == group.series; });
  if (series == chart.series.end()) series = chart.series.insert(series, {group.series, {}});
  series->points.push_back({.x = group.stored_bits.mean,
                            .y = group.top1.mean,
                            .x_spread = group.stored_bits.spread,
                            .y_spread = group.top1.spread,
                            .label = group.in_series,
                            .tooltip = fmt::format("{}, {}: top-1 {:.2f} ± {:.2f} %, {:.3f} ± {:.3f} stored bits",
                                                   group.label, seeds_text(group), group.top1.mean, group.top1.spread,
                                                   group.stored_bits.mean, group.stored_bits.spread)});
  if (group.finished.size() < 2) return;
  for (const RunReport* run : group.finished) {
    const StageReport& last = *run->last_done();
    const double top1 = *run->top1_of(last.name);
    chart.faint.push_back({.x = *last.result->stored_bits,
                           .y = top1,
                           .tooltip = fmt::format("{}, seed {}: top-1 {:.2f} %, {:.3f} stored bits", group.label,
                                                  run->config.seed, top1, *last.result->stored_bits)});
  }
}

ReportFigure pareto_figure(const Comparison& comparison) {
  ScatterChart chart{.text = {"pareto", "Accuracy against stored bits", ""},
                     .x = {.title = "stored bits per weight (signs and scales counted)"},
                     .y = {.title = "top-1 in %"},
                     .faint_name = "single runs",
                     .front_name = "Pareto line"};
  std::size_t points = 0;
  for (const RunGroup& group : comparison.groups) {
    if (group.finished.empty()) continue;
    ++points;
    add_point(chart, group);
    if (group.on_front) chart.front.push_back({group.stored_bits.mean, group.top1.mean});
  }
  std::sort(chart.front.begin(), chart.front.end(), [](Place a, Place b) { return a.x < b.x; });
  chart.text.description = fmt::format(
      "Top-1 accuracy of {} settings against the bits that a file needs for each weight; {} of them are not beaten in "
      "both by another.",
      points, chart.front.size());
  const bool spread = !chart.faint.empty();
  return {draw(chart),
          std::string(spread ? "Mean and standard deviation over runs that differ in nothing but the seed. " : "") +
              "Accuracy: of the last finished stage at its best."};
}

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
                              : "Planes of the magnitude; the sign is one bit more."};
}

ReportFigure heat_of(const LayerComparison& layers, const ChartText& text, const std::optional<Strength>& axis) {
  HeatMap map{.text = text, .x_title = "setting", .range = range_of(0, kMaxBits)};
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
  return {draw(map), "Mean over seeds. Planes of the magnitude; the sign is one bit more."};
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
  const LayerComparison layers = compare_layers(comparison);
  if (layers.groups.empty()) return figures;
  const ChartText text{"precision", "Bits of every layer",
                       fmt::format("Bits of {} layers under {} settings.", layers.layers.size(), layers.groups.size())};
  figures.push_back(layers.groups.size() <= kMostBars ? bars_of(layers, text) : heat_of(layers, text, comparison.axis));
  return figures;
}

}  // namespace bsq
