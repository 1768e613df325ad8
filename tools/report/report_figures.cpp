// Makes figures of the logs and the model of a run.
#include "tools/report/report_figures.h"

#include "engine/base/text.h"
#include "tools/report/bits_text.h"
#include "tools/report/charts/bar_chart.h"
#include "tools/report/charts/heat_map.h"
#include "tools/report/charts/histograms.h"
#include "tools/report/charts/line_chart.h"
#include "tools/report/cost_tables.h"
#include "tools/report/shown_stages.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>

namespace bsq {
namespace {

using namespace charts;

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

bool has_levels(const RunReport& report) {
  return report.bit_summary && !report.level_counts.empty();
}

/// The lines of a figure over epochs.
using Columns = std::vector<std::pair<std::string, std::function<double(const EpochRow&)>>>;

LineChart over_epochs(const RunReport& report, ChartText text, std::string y_title, const Columns& columns) {
  LineChart chart{
      .text = std::move(text),
      .x = {.title = "epoch of the whole run", .range = range_of(0, 1), .whole = true, .rule = TickRule::inside},
      .y = {.title = std::move(y_title)},
      .mark_name = "re-quantization"};
  std::map<std::string, int> before;
  int epochs = 0;
  for (const StageReport& stage : report.stages) {
    before[stage.name] = epochs;
    if (stage.epochs > 0) chart.spans.push_back({1.0 * epochs, 1.0 * (epochs + stage.epochs), stage.name});
    epochs += stage.epochs;
  }
  chart.x.range.include(epochs);
  for (const auto& [name, value] : columns) {
    LineSeries line{.name = name, .points = {}, .dashed = !chart.series.empty()};
    for (const EpochRow& row : report.epochs)
      line.points.push_back({1.0 * (before[row.stage] + row.epoch), value(row)});
    chart.series.push_back(std::move(line));
  }
  std::map<int, std::pair<int, int>> changes;  // layers that fell and grew, by epoch
  for (const PrecisionRow& row : report.history) {
    auto& [fallen, grown] = changes[before[row.stage] + row.epoch];
    fallen += row.bits_after < row.bits_before ? 1 : 0;
    grown += row.bits_after > row.bits_before ? 1 : 0;
  }
  for (const auto& [epoch, change] : changes)
    chart.marks.push_back(
        {1.0 * epoch, fmt::format("re-quantization after epoch {}: bits of {} layers fell, of {} grew", epoch,
                                  change.first, change.second)});
  return chart;
}

/// Whether a stage of the run trains with it.
bool smooths_labels(const Config& config) {
  return std::ranges::any_of(config.stages, [&](const std::string& stage) {
    const StageConfig* settings = config.find_stage(stage);
    return settings != nullptr && settings->label_smoothing > 0;
  });
}

/// Whether a stage of the run is evaluated by an average of its weights.
bool averages_weights(const Config& config) {
  return std::ranges::any_of(config.stages, [&](const std::string& stage) {
    const StageConfig* settings = config.find_stage(stage);
    return settings != nullptr && settings->ema > 0;
  });
}

/// What the training loss has that the test loss has not, a sentence each.
std::string parts_of_training_loss(const Config& config) {
  std::string text = smooths_labels(config) ? " The training loss is that of smoothed labels." : "";
  const auto learns = [&](const std::string& stage) { return config.distills(stage); };
  if (std::ranges::any_of(config.stages, learns)) text += " Where a teacher is there, the training loss has its part.";
  return text;
}

ReportFigure loss_figure(const RunReport& report) {
  const EpochRow& last = report.epochs.back();
  const ChartText text{
      "loss", "Loss",
      fmt::format("Mean cross entropy of every epoch; at the end {:.4g} in training and {:.4g} in test.",
                  last.train_loss, last.test_loss.value_or(kNothing))};
  return {draw(over_epochs(report, text, "mean cross entropy",
                           {{"training", [](const EpochRow& row) { return row.train_loss; }},
                            {"test", [](const EpochRow& row) { return row.test_loss.value_or(kNothing); }}})),
          fmt::format("Training images are augmented, test images are not.{} Point at an epoch for its numbers.",
                      parts_of_training_loss(report.config))};
}

ReportFigure accuracy_figure(const RunReport& report) {
  const ChartText text{
      "accuracy", "Top-1 accuracy",
      fmt::format("Percent of images classified correctly in every epoch; at the end {:.2f} % in test.",
                  report.epochs.back().test_top1.value_or(kNothing))};
  return {
      draw(over_epochs(report, text, "top-1 in %",
                       {{"training", [](const EpochRow& row) { return row.train_top1; }},
                        {"test", [](const EpochRow& row) { return row.test_top1.value_or(kNothing); }}})),
      fmt::format("Training accuracy is measured while the model changes, test accuracy at the end of each epoch.{}",
                  averages_weights(report.config)
                      ? " Where a stage has a moving average of the weights, test accuracy is that of the average."
                      : "")};
}

ReportFigure penalty_figure(const RunReport& report, const std::string& id, const std::string& stage,
                            const PenaltyDescription& penalty) {
  const ChartText text{id, penalty.title,
                       fmt::format("{}, without its factor {}, in every epoch of the stage {}.", penalty.meaning,
                                   penalty.factor.substr(penalty.factor.find('.') + 1), stage)};
  const auto penalty_of = [&](const EpochRow& row) { return row.stage == stage ? row.train_penalty : kNothing; };
  LineChart chart = over_epochs(report, text, "penalty R", {{"penalty", penalty_of}});
  chart.y.range.include(0);
  return {draw(chart), fmt::format("Mean over the steps of an epoch, without the factor {}.", penalty.factor)};
}

/// One figure per stage that measures a penalty.
std::vector<ReportFigure> penalty_figures(const RunReport& report, const std::vector<EpochRow>& quantized) {
  std::vector<ReportFigure> figures;
  for (const ShownStage& stage : shown_stages(report.config)) {
    const bool has_epochs =
        std::any_of(quantized.begin(), quantized.end(), [&](const EpochRow& row) { return row.stage == stage.name; });
    if (!stage.method.penalty || !has_epochs) continue;
    const std::string id = figures.empty() ? "penalty" : "penalty_" + stage.name;
    figures.push_back(penalty_figure(report, id, stage.name, *stage.method.penalty));
  }
  return figures;
}

/// Bits per weight in epochs with quantized weights.
ReportFigure bits_figure(const RunReport& report, const std::vector<EpochRow>& quantized) {
  const ChartText text{"bits", "Bits per parameter",
                       fmt::format("Mean bits of the quantized weights; {:.3f} at the end.",
                                   quantized.back().bits_per_parameter.value_or(kNothing))};
  const auto bits_of = [](const EpochRow& row) {
    const double bits = row.bits_per_parameter.value_or(kNothing);
    return bits < kFloatBits ? bits : kNothing;
  };
  LineChart chart = over_epochs(report, text, "bits per weight", {{"bits per weight", bits_of}});
  chart.y.range.include(0);
  return {draw(chart), "Stages in float have 32 bits and are left out. An empty layer counts as 1 bit (paper's rule)."};
}

/// What a stage under a budget measured and did at the beginning of each epoch.
std::vector<ReportFigure> budget_figures(const RunReport& report, const StageReport& stage, const std::string& ending) {
  const auto line_of = [&](const std::string& name, auto BudgetRow::*value, bool dashed) {
    LineSeries line{.name = name, .points = {}, .dashed = dashed};
    for (const BudgetRow& row : stage.budget->epochs)
      if (const std::optional<double> number = row.*value)
        line.points.push_back({1.0 * (epochs_before(report, stage.name) + row.epoch), *number});
    return line;
  };
  LineChart bits = over_epochs(
      report,
      {"budget" + ending, "Bits under the budget",
       fmt::format("What the weights have, or a re-quantization would give them, at the beginning of each epoch of the "
                   "stage {}, and what was planned for its end; the budget is {}.",
                   stage.name, stage.budget->text())},
      std::string(stage.budget->unit()), {});
  bits.series = {line_of("now", &BudgetRow::bits_now, false), line_of("planned", &BudgetRow::bits_planned, true)};
  std::vector<ReportFigure> figures = {
      {draw(bits),
       fmt::format("In {}. Once the budget is met nothing is measured.",
                   stage.budget->count.empty() ? "the bits that the budget counts" : stage.budget->count + " bits")}};
  if (!stage.budget->epochs.front().alpha) return figures;
  LineChart alpha = over_epochs(report,
                                {"budget_alpha" + ending, "Strength of the penalty under the budget",
                                 fmt::format("Alpha in every epoch of the stage {}.", stage.name)},
                                "alpha", {});
  alpha.series = {line_of("alpha", &BudgetRow::alpha, false)};
  alpha.y.range.include(0);
  figures.push_back(
      {draw(alpha), "Less than was asked for where training is ahead of the plan; 0 once the budget is met."});
  return figures;
}

ReportFigure layers_figure(const RunReport& report) {
  const BitSummary& summary = *report.bit_summary;
  BarChart chart{
      .text = {"precision", "Bits of every layer",
               fmt::format("Bits of the {} quantized tensors of checkpoints/{}, {:.3f} bits per weight in all.",
                           summary.tensors.size(), report.model, summary.bits_per_parameter())},
      .y = {.title = "bits", .range = range_of(0, 1), .whole = true},
      .series = {{"bits", {}}}};
  for (const TensorBits& tensor : summary.tensors) {
    chart.categories.push_back(layer_name(tensor.name));
    const int bits = tensor.empty ? 0 : tensor.bits;
    chart.series[0].bars.push_back(
        {.value = 1.0 * bits,
         .tooltip = fmt::format("{}: {} bits, {} weights, {:.1f} % of them zero", layer_name(tensor.name), bits,
                                tensor.numel, tensor.zero_percent)});
  }
  return {draw(chart),
          "Planes of the magnitude; the sign is one bit more, of odd levels none. A layer of which all weights are "
          "zero has 0."};
}

/// Where operations and bytes are.
ReportFigure shares_figure(const RunReport& report) {
  BarChart chart{
      .text = {"shares", "Share of every layer in bit operations and bytes",
               fmt::format("Percent of the bit operations of an image, and of the bytes of the packed model, "
                           "that each of {} layers has.",
                           report.layer_costs.size())},
      .y = {.title = "% of the whole network"},
      .series = {{"bit operations", {}}, {"bytes", {}}}};
  const double bops = bops_of(report.layer_costs, true);
  const auto bytes = static_cast<double>(report.bit_summary->packed_bytes);
  for (const LayerCost& layer : report.layer_costs) {
    chart.categories.push_back(layer.name);
    const auto add = [&](BarSeries& series, double part, double whole) {
      const double share = share_of(part, whole);
      series.bars.push_back(
          {.value = share, .tooltip = fmt::format("{}: {:.2f} % of the {}", layer.name, share, series.name)});
    };
    add(chart.series[0], layer.bops(true), bops);
    add(chart.series[1], layer.bytes(), bytes);
  }
  return {draw(chart), "Bytes: of the whole model, packed; norms are what lacks to 100 %."};
}

HeatCell history_cell(int bits, int before, const std::string& layer, int epoch) {
  std::string tooltip = fmt::format("{}, epoch {}: {} bits", layer, epoch, bits);
  if (bits != before) tooltip += fmt::format(", {} before", before);
  return {1.0 * bits, (bits > before) - (bits < before), std::to_string(bits), tooltip};
}

ReportFigure history_figure(const RunReport& report) {
  std::map<std::string, std::size_t> rows;
  std::map<std::pair<std::string, int>, std::size_t> columns;
  HeatMap map{.text = {"precision_history", "Bits of every layer over the re-quantizations", ""},
              .x_title = "epoch of the whole run, before the re-quantization",
              .range = range_of(0, kMaxBits),
              .fallen = "fewer bits than before",
              .grown = "more bits than before"};
  for (int bits = 0; bits <= kMaxBits; ++bits) map.legend.push_back({bits, std::to_string(bits)});
  for (const PrecisionRow& row : report.history) {
    const int epoch = epochs_before(report, row.stage) + row.epoch;
    const auto [line, is_new_layer] = rows.try_emplace(row.layer, rows.size());
    const auto [column, is_new] = columns.try_emplace({row.stage, row.epoch}, columns.size());
    if (is_new_layer) map.rows.push_back(layer_name(row.layer));
    if (is_new) map.columns.push_back(std::to_string(epoch));
    map.cells.resize(rows.size());
    std::vector<HeatCell>& cells = map.cells[line->second];
    cells.resize(columns.size(), {.value = kNothing});
    cells[column->second] = history_cell(row.bits_after, row.bits_before, layer_name(row.layer), epoch);
  }
  map.text.description = fmt::format(
      "Bits of {} layers after each of {} re-quantizations; arrows mark where they fell "
      "or grew.",
      map.rows.size(), map.columns.size());
  return {draw(map), "Each column is one re-quantization, in equal steps whatever the epochs between them."};
}

ReportFigure planes_figure(const BitSummary& summary) {
  HeatMap map{.text = {"planes", "Ones of every bit plane",
                       "Percent of the weights that have a one in each bit plane, most significant plane first."},
              .x_title = "bit plane, most significant left",
              .range = range_of(0, 60),
              .legend = {{0, "0 %"}, {10, "10"}, {20, "20"}, {30, "30"}, {40, "40"}, {50, "50"}, {60, "60 % or more"}}};
  std::size_t most = 0;
  for (const TensorBits& tensor : summary.tensors) {
    map.rows.push_back(layer_name(tensor.name));
    std::vector<HeatCell>& cells = map.cells.emplace_back();
    for (const double density : tensor.plane_density_percent)
      cells.push_back({.value = density,
                       .text = fmt::format("{:.1f}", density),
                       .tooltip = fmt::format("{}, plane {} of {}: {:.2f} % ones", layer_name(tensor.name),
                                              cells.size() + 1, tensor.plane_density_percent.size(), density)});
    most = std::max(most, cells.size());
  }
  for (std::size_t plane = 1; plane <= most; ++plane) map.columns.push_back(std::to_string(plane));
  return {draw(map), "In percent of a layer's weights. BSQ drops planes without ones from both ends of a layer's row."};
}

ReportFigure weights_figure(const RunReport& report) {
  Histograms histograms{.text = {"weights", "Weights on their grid",
                                 "Histogram of the weights of every layer, a bin for each value they can take."},
                        .x_title = "effective weight",
                        .y_title = "number of weights",
                        .panels = {}};
  const std::vector<TensorBits>& tensors = report.bit_summary->tensors;
  for (std::size_t i = 0; i < std::min(tensors.size(), report.level_counts.size()); ++i)
    histograms.panels.push_back({.name = layer_name(tensors[i].name),
                                 .note = fmt::format("{} bit{}, {:.1f} % zero", tensors[i].bits,
                                                     tensors[i].bits == 1 ? "" : "s", tensors[i].zero_percent),
                                 .counts = report.level_counts[i],
                                 .low = -std::abs(tensors[i].scale),
                                 .high = std::abs(tensors[i].scale)});
  return {draw(histograms),
          "Counts on a logarithmic scale, the same in all panels; each panel as wide as its layer's "
          "scale."};
}

}  // namespace

std::vector<ReportFigure> bit_figures(const RunReport& report) {
  std::vector<ReportFigure> figures;
  if (has_levels(report)) figures.push_back(layers_figure(report));
  if (has_levels(report) && !report.layer_costs.empty()) figures.push_back(shares_figure(report));
  if (!report.history.empty()) figures.push_back(history_figure(report));
  if (has_levels(report)) {
    figures.push_back(planes_figure(*report.bit_summary));
    figures.push_back(weights_figure(report));
  }
  return figures;
}

std::vector<ReportFigure> training_figures(const RunReport& report) {
  std::vector<ReportFigure> figures;
  if (report.epochs.empty()) return figures;
  figures.push_back(accuracy_figure(report));
  figures.push_back(loss_figure(report));
  std::vector<EpochRow> quantized;
  std::copy_if(report.epochs.begin(), report.epochs.end(), std::back_inserter(quantized),
               [](const EpochRow& row) { return row.bits_per_parameter.value_or(kFloatBits) < kFloatBits; });
  if (quantized.empty()) return figures;
  figures.push_back(bits_figure(report, quantized));
  for (ReportFigure& figure : penalty_figures(report, quantized)) figures.push_back(std::move(figure));
  std::string ending;
  for (const StageReport& stage : report.stages) {
    if (!stage.budget || stage.budget->epochs.empty()) continue;
    for (ReportFigure& figure : budget_figures(report, stage, ending)) figures.push_back(std::move(figure));
    ending += "_more";
  }
  return figures;
}

}  // namespace bsq
