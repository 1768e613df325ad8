// Where runs have different methods, columns of one of them alone would be empty for the others: then there is one
// column for what trades accuracy for bits, and one for the accuracy of the method's own stage.
#include "tools/report/comparison_tables.h"

#include "tools/report/bits_text.h"
#include "tools/report/cost_tables.h"
#include "tools/report/report_tables.h"

#include <fmt/format.h>

#include <algorithm>

namespace bsq {
namespace {

namespace fs = std::filesystem;

std::string in_percent(const std::optional<double>& value) {
  return value ? fmt::format("{:.2f}", *value) : "";
}

/// How the columns of one comparison are made.
struct RunColumns {
  std::vector<Strength> strengths;
  std::vector<ComparedStage> stages;  // without float ones
  bool several_methods = false;
  bool deployed = false;  // some accuracy in integers is known
};

RunColumns columns_of(const std::vector<RunReport>& reports) {
  RunColumns columns{strengths_of(reports), compared_stages(reports)};
  std::erase_if(columns.stages, [](const ComparedStage& stage) { return stage.is_float; });
  const std::string first = method_of_run(reports.front().config).title;
  columns.several_methods = std::any_of(reports.begin(), reports.end(), [&](const RunReport& report) {
    return method_of_run(report.config).title != first;
  });
  columns.deployed =
      std::any_of(reports.begin(), reports.end(), [](const RunReport& report) { return report.deployed.has_value(); });
  return columns;
}

std::vector<Column> titles_of(const RunColumns& columns) {
  std::vector<Column> titles = {{"run", Align::left}, {"state", Align::left}};
  if (columns.several_methods) titles.push_back({"method", Align::left});
  if (columns.strengths.size() > 1)
    titles.push_back({"strength", Align::left});
  else
    for (const Strength& strength : columns.strengths) titles.push_back({strength.title});
  titles.insert(titles.end(), {{"act"}, {"seed"}, {"float %"}});
  if (columns.stages.size() > 1)
    titles.push_back({"method %"});
  else
    for (const ComparedStage& stage : columns.stages) titles.push_back({stage.title + " %"});
  titles.insert(titles.end(), {{"final %"}, {"last %"}});
  if (columns.deployed) titles.push_back({"integers %"});
  titles.insert(titles.end(), {{"bits"}, {"stored"}, {"paper"}, {"all"}, {"MBOPs"}, {"ms/step"}, {"MB/step"}});
  return titles;
}

std::string bops_text(const RunReport& report) {
  if (report.layer_costs.empty()) return "";
  return millions_text(bops_of(report.layer_costs, true));
}

std::vector<std::string> row_of(const RunReport& report, const RunColumns& columns) {
  std::vector<std::string> row;
  if (columns.several_methods) row.push_back(method_of_run(report.config).title);
  if (columns.strengths.size() > 1)
    row.push_back(strength_list(report.config, columns.strengths));
  else
    for (const Strength& strength : columns.strengths) {
      const std::optional<double> value = value_of(report.config, strength);
      row.push_back(value ? fmt::format("{:g}", *value) : "");
    }
  const std::optional<FloatAccuracy> in_float = report.float_accuracy();
  row.insert(row.end(), {std::to_string(report.config.quant.act_bits), std::to_string(report.config.seed),
                         in_float ? in_percent(in_float->top1) : ""});
  if (columns.stages.size() > 1)
    row.push_back(in_percent(report.top1_of(method_of_run(report.config).stage)));
  else
    for (const ComparedStage& stage : columns.stages) row.push_back(in_percent(report.top1_of(stage.name)));
  const StageReport* last = report.last_done();
  if (last == nullptr) return row;
  const StageResult& result = *last->result;
  const StageReport* trained = method_stage(report);
  row.insert(row.end(), {in_percent(report.top1_of(last->name)), in_percent(result.test_top1)});
  if (columns.deployed) row.push_back(report.deployed ? in_percent(report.deployed->top1) : "");
  row.insert(row.end(), {fmt::format("{:.3f}", result.bits_per_parameter), stored_text(result),
                         ratio_text(result.compression), ratio_text(result.compression_everything), bops_text(report)});
  if (trained != nullptr)
    row.insert(row.end(),
               {milliseconds_text(trained->seconds_per_step()), millions_text(trained->weight_bytes_per_step())});
  return row;
}

std::string with_spread(const MeanAndSpread& value, std::size_t runs, const char* unit = "") {
  return runs < 2 ? fmt::format("{:.2f}{}", value.mean, unit)
                  : fmt::format("{:.2f} ± {:.2f}{}", value.mean, value.spread, unit);
}

/// In units of `unit`; empty if it is not known of all runs.
std::string known_with_spread(const std::optional<MeanAndSpread>& value, std::size_t runs, double unit = 1) {
  if (!value) return "";
  return with_spread({.mean = value->mean / unit, .spread = value->spread / unit}, runs);
}

std::string runs_text(const RunGroup& group) {
  return group.finished.size() == group.runs.size() ? std::to_string(group.runs.size())
                                                    : fmt::format("{} of {}", group.finished.size(), group.runs.size());
}

std::string front_text(const Comparison& comparison, const RunGroup& group) {
  const bool has_others = std::any_of(comparison.groups.begin(), comparison.groups.end(), [&](const RunGroup& other) {
    return !other.finished.empty() && other.series != group.series;
  });
  if (group.on_front) return "yes";
  return has_others && group.on_series_front ? "of its series" : "";
}

std::string ratio_or_empty(const std::optional<double>& ratio) {
  return ratio ? fmt::format("{:g}x", *ratio) : "";
}

}  // namespace

const char* const kComparisonNotes =
    "top-1 on the test set, each stage's best; float: of the run itself or of the model that it began with; last:\n"
    "after its last epoch; integers: final as it is deployed, where it has such a form. final, last, bits per\n"
    "weight (as published; stored, with signs and scales), ratios and MBOPs (million bit operations of an image,\n"
    "signs counted): of the last finished stage. ms/step and MB/step (what a step moves to make and update weights,\n"
    "computed): of the stage that gives the run its method\n";

const char* const kGroupsNotes =
    "Mean and standard deviation over runs that differ in nothing but the seed; the CSV has the lowest and the "
    "highest, too. float: of the run itself or of the model that it began with; final: the last finished stage at its "
    "best; last: after its last epoch; integers: final as it is deployed, where all have such a form. Pareto: no "
    "other setting is both as accurate and as small; of its series: none "
    "of those with its colour in the figure.";

const char* const kGroupCostsNotes =
    "Compression by the paper's rule, and of all numbers. Packed: the whole model, what stays float included. MMACs: "
    "million multiply-adds of an image; MBOPs: million bit operations, multiply-adds x bits of a weight, its sign too, "
    "x bits of its input. A step: of the stage that gives the run its method; MB: what it must move at least to make "
    "and update weights, computed from the number of trainable numbers, not measured.";

const char* const kPublishedNotes =
    "Not measured here, and not under one protocol: data, epochs, what stays float and whether the best or the last "
    "epoch counts differ from paper to paper, and so do the float models. stored: compression by the bits that a file "
    "needs; where it is empty the row is not in the figure. Evidence: V1 a table of LLT's authors, V2 README of APoT, "
    "V3 a training log of DAMBQ, V4 README of SLB's authors, VR README or model zoo, VA an abstract; S second hand; M "
    "from memory, nothing to claim against.";

fs::path shared_folder(const std::vector<RunReport>& reports) {
  fs::path shared = reports.front().path.parent_path();
  for (const RunReport& report : reports)
    while (!shared.empty() &&
           std::mismatch(shared.begin(), shared.end(), report.path.begin(), report.path.end()).first != shared.end()) {
      const fs::path above = shared.parent_path();
      shared = above == shared ? "" : above;
    }
  return shared;
}

Table comparison_table(const std::vector<RunReport>& reports) {
  constexpr std::size_t kPathWidth = 34;
  const RunColumns columns = columns_of(reports);
  Table table(titles_of(columns));
  const fs::path shared = shared_folder(reports);
  for (const RunReport& report : reports) {
    const fs::path path = shared.empty() ? report.path : report.path.lexically_relative(shared);
    std::vector<std::string> row = {shortened(path.string(), kPathWidth), report.state()};
    for (std::string& cell : row_of(report, columns)) row.push_back(std::move(cell));
    table.add_row(std::move(row));
  }
  return table;
}

std::string comparison_text(const std::vector<RunReport>& reports) {
  const fs::path shared = shared_folder(reports);
  return (shared.empty() ? "" : fmt::format("runs in {}\n\n", shared.string())) + comparison_table(reports).text() +
         kComparisonNotes;
}

Table groups_table(const Comparison& comparison) {
  const bool deployed = std::any_of(comparison.groups.begin(), comparison.groups.end(),
                                    [](const RunGroup& group) { return group.deployed_top1.has_value(); });
  std::vector<Column> titles = {{"setting", Align::left}, {"runs"}, {"float %"}, {"final %"}, {"last %"}};
  if (deployed) titles.push_back({"integers %"});
  titles.insert(titles.end(), {{"bits"}, {"stored"}, {"Pareto", Align::left}});
  Table table(titles);
  for (const RunGroup& group : comparison.groups) {
    const std::size_t runs = group.finished.size();
    std::vector<std::string> row = {group.label, runs_text(group)};
    if (runs > 0) {
      row.insert(row.end(), {known_with_spread(group.float_top1, runs), with_spread(group.top1, runs),
                             with_spread(group.last_top1, runs)});
      if (deployed) row.push_back(known_with_spread(group.deployed_top1, runs));
      row.insert(row.end(),
                 {with_spread(group.bits, runs), with_spread(group.stored_bits, runs), front_text(comparison, group)});
    }
    table.add_row(std::move(row));
  }
  return table;
}

Table group_costs_table(const Comparison& comparison) {
  constexpr double kKiB = 1024, kMillion = 1e6, kMilli = 1e-3;
  Table table(
      {{"setting", Align::left}, {"paper"}, {"all"}, {"packed KiB"}, {"MMACs"}, {"MBOPs"}, {"ms/step"}, {"MB/step"}});
  for (const RunGroup& group : comparison.groups) {
    const std::size_t runs = group.finished.size();
    if (runs == 0) continue;
    const std::vector<LayerCost>& layers = group.finished.front()->layer_costs;
    table.add_row(
        {group.label, with_spread(group.compression, runs, "x"), with_spread(group.compression_everything, runs, "x"),
         known_with_spread(group.packed_bytes, runs, kKiB), layers.empty() ? "" : millions_text(macs_of(layers)),
         known_with_spread(group.bops, runs, kMillion), known_with_spread(group.seconds_per_step, runs, kMilli),
         known_with_spread(group.weight_bytes_per_step, runs, kMillion)});
  }
  return table;
}

Table published_table(const std::vector<PublishedRow>& rows) {
  Table table({{"published", Align::left},
               {"year"},
               {"W bits"},
               {"A bits"},
               {"ratio, as published"},
               {"stored"},
               {"top-1 %"},
               {"float %"},
               {"evidence", Align::left},
               {"remark", Align::left}});
  for (const PublishedRow& row : rows)
    table.add_row({row.method, row.year, row.weight_bits, row.act_bits == "32" ? "float" : row.act_bits,
                   ratio_or_empty(row.ratio_published), ratio_or_empty(row.ratio_stored), in_percent(row.top1),
                   in_percent(row.float_top1), row.evidence, row.remark});
  return table;
}

}  // namespace bsq
