#include "tools/report/pareto_figure.h"

#include "data/datasets.h"
#include "models/families.h"
#include "tools/report/charts/scatter_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace bsq {
namespace {

using namespace charts;

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
  if (group.on_series_front) series->front.push_back({group.stored_bits.mean, group.top1.mean});
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

void from_left_to_right(std::vector<Place>& front) {
  std::sort(front.begin(), front.end(), [](Place a, Place b) { return a.x < b.x; });
}

ScatterChart chart_of(const Comparison& comparison) {
  ScatterChart chart{.text = {"pareto", "Accuracy against stored bits", ""},
                     .x = {.title = "stored bits per weight (signs and scales counted)"},
                     .y = {.title = "top-1 in %"},
                     .faint_name = "single runs",
                     .front_name = "Pareto line",
                     .series_front_name = "Pareto line of one series"};
  std::size_t points = 0;
  for (const RunGroup& group : comparison.groups) {
    if (group.finished.empty()) continue;
    ++points;
    add_point(chart, group);
    if (group.on_front) chart.front.push_back({group.stored_bits.mean, group.top1.mean});
  }
  from_left_to_right(chart.front);
  for (ScatterSeries& series : chart.series) {
    from_left_to_right(series.front);
    if (chart.series.size() == 1) series.front.clear();  // the same line
  }
  chart.text.description = fmt::format(
      "Top-1 accuracy of {} settings against the bits that a file needs for each weight; {} of them are not beaten in "
      "both by another.",
      points, chart.front.size());
  return chart;
}

/// Images that published results are known for: `imagenet`, or what the test set is called.
std::string images_of(const RunReport& run) {
  constexpr std::size_t kClassesOfImageNet = 1000;
  constexpr const char* kFirstClassOfImageNet = "n01440764";
  if (run.class_names.size() == kClassesOfImageNet && run.class_names.front() == kFirstClassOfImageNet &&
      run.config.data.test_per_class == 0)
    return "imagenet";
  return describe_test_set(run.config);
}

std::string act_bits_of(const RunReport& run) {
  return std::to_string(run.config.quant.act_bits == 0 ? kFloatBits : run.config.quant.act_bits);
}

std::string act_bits_text(const std::string& act_bits) {
  return act_bits == std::to_string(kFloatBits) ? "float activations" : act_bits + "-bit activations";
}

/// `LSQ W2A4`; where every layer has a width of its own, `BSQ 5e-3 A4`.
std::string name_of_row(const PublishedRow& row) {
  const std::string weights = row.weight_bits == "mixed" ? "" : "W" + row.weight_bits;
  return fmt::format("{} {}A{}", row.method, weights, row.act_bits);
}

void add_published(ScatterChart& chart, const std::vector<PublishedRow>& rows) {
  chart.text.id = "pareto_published";
  chart.text.title += ", with published results of others (not ours)";
  chart.text.description += fmt::format(" Beside them {} results that others have published.", rows.size());
  chart.foreign = {{.name = "published by others"}, {.name = "published by others, not checked"}};
  for (const PublishedRow& row : rows) {
    const std::string remark = row.remark.empty() ? "" : "; " + row.remark;
    chart.foreign[row.is_checked() ? 0 : 1].points.push_back(
        {.x = *row.stored_bits(),
         .y = row.top1,
         .label = name_of_row(row),
         .tooltip = fmt::format("not ours: {} {}, weights {}, {}: top-1 {:.2f} %, {:.2f} stored bits; evidence {}{}",
                                row.method, row.year, row.weight_bits, act_bits_text(row.act_bits), row.top1,
                                *row.stored_bits(), row.evidence, remark)});
  }
  std::erase_if(chart.foreign, [](const ScatterSeries& series) { return series.points.empty(); });
}

}  // namespace

std::vector<PublishedRow> published_rows_beside(const Comparison& comparison) {
  if (!comparison.same_network || !comparison.same_data) return {};
  for (const RunReport* run : comparison.runs)
    if (is_quantized(*run)) return published_rows(network_words(run->config), images_of(*run));
  return {};
}

std::vector<PublishedRow> drawn_rows(const std::vector<PublishedRow>& rows, const Comparison& comparison) {
  std::vector<PublishedRow> drawn;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(drawn), [&](const PublishedRow& row) {
    return row.stored_bits() && std::any_of(comparison.runs.begin(), comparison.runs.end(), [&](const RunReport* run) {
             return is_quantized(*run) && act_bits_of(*run) == row.act_bits;
           });
  });
  return drawn;
}

ReportFigure pareto_figure(const Comparison& comparison) {
  ScatterChart chart = chart_of(comparison);
  const bool has_spread = !chart.faint.empty();
  const bool has_series_fronts = std::any_of(chart.series.begin(), chart.series.end(),
                                             [](const ScatterSeries& series) { return series.front.size() > 1; });
  ReportFigure figure{
      draw(chart),
      std::string(has_spread ? "Mean and standard deviation over runs that differ in nothing but the seed. " : "") +
          (has_series_fronts ? "Dashed: the best of one series among itself. " : "") +
          "Accuracy: of the last finished stage at its best."};
  const std::vector<PublishedRow> rows = drawn_rows(published_rows_beside(comparison), comparison);
  if (rows.empty()) return figure;
  add_published(chart, rows);
  figure.layer = {.svg = draw(chart),
                  .label = fmt::format("with {} results that others have published (not ours)", rows.size()),
                  .note =
                      "Hollow: published by others under protocols of their own, not measured here; those with as "
                      "many bits of activations as a run here, and with known stored bits. Not checked: second "
                      "hand or from memory. The table says more."};
  return figure;
}

}  // namespace bsq
