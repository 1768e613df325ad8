// Sections, CSV files and the guard against writing over somebody's page.
#include "tools/report/comparison_page.h"

#include "tools/report/bits_text.h"
#include "tools/report/comparison_figures.h"
#include "tools/report/file_set.h"
#include "tools/report/report_tables.h"
#include "tools/report/shown_stages.h"

#include <fmt/format.h>

namespace bsq {
namespace {

namespace fs = std::filesystem;

std::string with_spread(const MeanAndSpread& value, std::size_t runs, const char* unit = "") {
  return runs < 2 ? fmt::format("{:.2f}{}", value.mean, unit)
                  : fmt::format("{:.2f} ± {:.2f}{}", value.mean, value.spread, unit);
}

Table groups_table(const Comparison& comparison) {
  Table table({{"setting", Align::left},
               {"runs"},
               {"final %"},
               {"bits"},
               {"stored"},
               {"paper"},
               {"all"},
               {"Pareto", Align::left}});
  for (const RunGroup& group : comparison.groups) {
    const std::size_t runs = group.finished.size();
    if (runs == 0)
      table.add_row({group.label, fmt::format("0 of {}", group.runs.size())});
    else
      table.add_row(
          {group.label,
           runs == group.runs.size() ? std::to_string(runs) : fmt::format("{} of {}", runs, group.runs.size()),
           with_spread(group.top1, runs), with_spread(group.bits, runs), with_spread(group.stored_bits, runs),
           with_spread(group.compression, runs, "x"), with_spread(group.compression_everything, runs, "x"),
           group.on_front ? "yes" : ""});
  }
  return table;
}

/// A text that may hold commas and quotes, as a cell of a CSV file.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? "\"\"" : std::string(1, c);
  return result + "\"";
}

std::string cell(const std::optional<double>& value) {
  return value ? fmt::format("{}", *value) : "";
}

std::string comparison_csv(const std::vector<RunReport>& reports) {
  const std::vector<ComparedStage> stages = compared_stages(reports);
  const std::vector<Strength> strengths = strengths_of(shown_stages(reports));
  std::string text = "run,state,";
  for (const Strength& strength : strengths) text += strength.title + ",";
  text += "act_bits,seed,";
  for (const ComparedStage& stage : stages) text += fmt::format("top1_{},", stage.title);
  text +=
      "top1_final,bits_per_parameter,stored_bits_per_parameter,compression,compression_without_empty,compression_"
      "everything\n";
  for (const RunReport& run : reports) {
    text += fmt::format("{},{},", quoted(run.path.string()), run.state());
    for (const Strength& strength : strengths) text += cell(value_of(run.config, strength)) + ",";
    text += fmt::format("{},{},", run.config.quant.act_bits, run.config.seed);
    for (const ComparedStage& stage : stages) text += cell(run.top1_of(stage.name)) + ",";
    if (const StageReport* last = run.last_done())
      text += fmt::format("{},{},{},{},{},{}\n", *run.top1_of(last->name), last->result->bits_per_parameter,
                          cell(last->result->stored_bits), last->result->compression,
                          last->result->compression_without_empty, last->result->compression_everything);
    else
      text += ",,,,,\n";
  }
  return text;
}

std::string groups_csv(const Comparison& comparison) {
  std::string text =
      "setting,runs,finished,top1_mean,top1_sd,bits_mean,bits_sd,stored_bits_mean,stored_bits_sd,compression_mean,"
      "compression_sd,"
      "compression_everything_mean,compression_everything_sd,pareto\n";
  for (const RunGroup& group : comparison.groups) {
    text += fmt::format("{},{},{}", quoted(group.label), group.runs.size(), group.finished.size());
    for (const MeanAndSpread& value :
         {group.top1, group.bits, group.stored_bits, group.compression, group.compression_everything})
      text += group.finished.empty() ? ",," : fmt::format(",{},{}", value.mean, value.spread);
    text += fmt::format(",{}\n", group.on_front ? 1 : 0);
  }
  return text;
}

std::string layers_csv(const LayerComparison& layers) {
  std::string text = "setting,layer,bits_mean,bits_min,bits_max\n";
  for (std::size_t group = 0; group < layers.groups.size(); ++group)
    for (std::size_t layer = 0; layer < layers.layers.size(); ++layer) {
      const LayerBits& bits = layers.bits[group][layer];
      text += fmt::format("{},{},{},{},{}\n", quoted(layers.groups[group]->label), layers.layers[layer], bits.mean,
                          bits.low, bits.high);
    }
  return text;
}

}  // namespace

Page comparison_page(const Comparison& comparison, const std::vector<RunReport>& reports,
                     const std::vector<std::string>& links) {
  Page page;
  page.title = fmt::format("{} runs compared", reports.size());
  page.subtitle = experiment_text(reports.front().config);
  if (!comparison.same_network || !comparison.same_data)
    page.subtitle = "of different experiments";
  else if (const std::size_t seed = page.subtitle.rfind("; seed"); seed != std::string::npos)
    page.subtitle.erase(seed);
  if (const fs::path shared = shared_folder(reports); !shared.empty()) page.subtitle += "; runs in " + shared.string();
  page.notices = comparison.remarks;
  PageSection figures{.title = "Figures", .figures = comparison_figures(comparison)};
  if (figures.figures.empty()) figures.paragraphs.emplace_back("No run has a quantized model yet.");
  if (compare_layers(comparison).groups.empty() && !comparison.same_network)
    figures.paragraphs.emplace_back("Layers of different networks are not set side by side.");
  page.sections.push_back(std::move(figures));
  PageSection tables{.title = "Tables"};
  tables.tables.push_back(
      {"Settings",
       groups_table(comparison),
       "Mean and standard deviation over runs that differ in nothing but the seed. Pareto: no other "
       "setting is both as accurate and as small.",
       "groups.csv",
       {}});
  tables.tables.push_back({"Runs", comparison_table(reports), kComparisonNotes, "comparison.csv", links});
  page.sections.push_back(std::move(tables));
  return page;
}

void write_comparison_files(const std::vector<RunReport>& reports, const std::vector<std::string>& links,
                            const fs::path& folder) {
  const Comparison comparison = compare(reports);
  const Page page = comparison_page(comparison, reports, links);
  FileSet files(folder, "the report");
  files.add("index.html", html_of(page));
  for (const PageSection& section : page.sections)
    for (const ReportFigure& figure : section.figures) files.add(figure.svg.id() + ".svg", figure.svg.file());
  files.add("comparison.csv", comparison_csv(reports));
  files.add("groups.csv", groups_csv(comparison));
  if (const LayerComparison layers = compare_layers(comparison); !layers.groups.empty())
    files.add("precision.csv", layers_csv(layers));
  files.commit();
}

}  // namespace bsq
