// What the page of a run says, in its order.
#include "tools/report/run_page.h"

#include "engine/base/text.h"
#include "tools/report/bits_text.h"
#include "tools/report/cost_tables.h"
#include "tools/report/report_tables.h"
#include "tools/report/shown_stages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bsq {
namespace {

/// What is unusual about the run.
std::vector<std::string> notices_of(const RunReport& report) {
  if (report.status.state == RunState::done) return {};
  const std::string where = report.status.stage.empty() ? "before its first stage"
                                                        : fmt::format("in stage {} after {} of its epochs",
                                                                      report.status.stage, report.status.epoch);
  const std::string go_on = fmt::format("bsq train --resume {}", report.path.string());
  std::vector<std::string> notices;
  switch (report.status.state) {
    case RunState::running:
      notices.push_back(report.alive
                            ? fmt::format("This run is still going on, {}: the page shows what there was when "
                                          "it was written. bsq report {} writes it anew.",
                                          where, report.path.string())
                            : fmt::format("This run has crashed or was killed, {}. Go on with: {}", where, go_on));
      break;
    case RunState::interrupted:
      notices.push_back(fmt::format("This run was stopped (exit code {}), {}, with a checkpoint. Go on with: {}",
                                    report.status.exit_code, where, go_on));
      break;
    default:
      notices.push_back(fmt::format("This run failed with exit code {}, {}. The end of its train.log says why.",
                                    report.status.exit_code, where));
  }
  if (report.epochs.empty()) notices.emplace_back("No epoch is finished yet.");
  return notices;
}

std::vector<std::pair<std::string, std::string>> numbers_of(const RunReport& report) {
  std::vector<std::pair<std::string, std::string>> numbers;
  const StageReport* last = report.last_done();
  if (last == nullptr) return numbers;
  const double top1 = *report.top1_of(last->name);
  numbers.emplace_back("top-1 in the end", fmt::format("{:.2f} %", top1));
  if (last->is_float()) return numbers;
  if (report.deployed) numbers.emplace_back("in integers", fmt::format("{:.2f} %", report.deployed->top1));
  if (const auto in_float = report.float_accuracy())
    numbers.emplace_back("points against the float model", fmt::format("{:+.2f}", top1 - in_float->top1));
  numbers.emplace_back("bits per weight", fmt::format("{:.3f}", last->result->bits_per_parameter));
  numbers.emplace_back("stored bits per weight", stored_text(*last->result));
  numbers.emplace_back("compression, paper's rule", ratio_text(last->result->compression));
  numbers.emplace_back("with everything counted", ratio_text(last->result->compression_everything));
  return numbers;
}

Table headline_table(const RunReport& report) {
  std::vector<Column> columns;
  std::vector<std::string> row;
  for (const ShownStage& stage : shown_stages(report.config)) {
    columns.push_back({stage.method.title + " %"});
    const std::optional<double> top1 = report.top1_of(stage.name);
    row.push_back(top1 ? fmt::format("{:.2f}", *top1) : "-");
  }
  columns.insert(columns.end(), {{"bits/weight"},
                                 {"stored"},
                                 {"paper"},
                                 {"empty=0"},
                                 {"all"},
                                 {"s/epoch"},
                                 {"images/s"},
                                 {"peak MiB"},
                                 {"trainable numbers"}});
  if (const StageReport* last = report.last_done())
    row.insert(row.end(), {fmt::format("{:.3f}", last->result->bits_per_parameter), stored_text(*last->result),
                           ratio_text(last->result->compression), ratio_text(last->result->compression_without_empty),
                           ratio_text(last->result->compression_everything)});
  else
    row.insert(row.end(), 5, "-");
  const Cost cost = cost_of(report);
  const auto number = [](const std::optional<double>& value, int digits) {
    return value ? fmt::format("{:.{}f}", *value, digits) : std::string("-");
  };
  row.insert(row.end(),
             {number(cost.seconds_per_epoch, 2), number(cost.images_per_second, 0), number(cost.peak_mib, 1),
              cost.trainable_numbers > 0 ? with_thousands(static_cast<std::uint64_t>(cost.trainable_numbers)) : "-"});
  Table table(columns);
  table.add_row(std::move(row));
  return table;
}

std::string headline_note(const RunReport& report) {
  std::vector<std::string> titles;
  for (const ShownStage& stage : shown_stages(report.config)) titles.push_back(stage.method.title);
  return fmt::format(
      "{}: top-1 of each stage at its best. Time and images: mean over all stages that train; memory and trainable "
      "numbers: the largest of them.",
      fmt::join(titles, ", "));
}

PageSection results(const RunReport& report) {
  PageSection section{.title = "Results"};
  if (const std::string sentence = verdict(report); !sentence.empty()) section.paragraphs.push_back(sentence);
  if (const std::string deployed = deployed_text(report); !deployed.empty()) section.paragraphs.push_back(deployed);
  if (const std::string budgets = budget_text(report); !budgets.empty()) section.paragraphs.push_back(budgets);
  section.tables.push_back({"Headline", headline_table(report), headline_note(report), "stages.csv", {}});
  section.tables.push_back({"Stages", stages_table(report), stages_notes(report), "stages.csv", {}});
  section.tables.push_back({"Cost", cost_table(report), kCostNotes, "stages.csv", {}});
  return section;
}

PageSection bits(const RunReport& report) {
  PageSection section{.title = "Bits", .figures = bit_figures(report)};
  if (!report.bit_summary) {
    section.paragraphs.emplace_back("No stage is finished yet, so that there is no model to look into.");
    return section;
  }
  if (report.level_counts.empty())
    section.paragraphs.emplace_back("The newest model is a float one: it has no bits and no grid to show.");
  const std::string model = "Of checkpoints/" + report.model + ".";
  if (const std::string sentence = operations_text(report); !sentence.empty()) section.paragraphs.push_back(sentence);
  section.tables.push_back({"Layers",
                            layer_table(*report.bit_summary),
                            model + " zeros: weights that are exactly zero. *: all of them. The planes' ones are in "
                                    "planes.csv, too.",
                            "layers.csv",
                            {}});
  section.tables.push_back({"Operations", operations_table(report), kOperationsNotes, "operations.csv", {}});
  section.tables.push_back(
      {"Compression", compression_table(*report.bit_summary, report.model_bytes), model, "summary.json", {}});
  section.tables.push_back({"Float",
                            float_table(*report.bit_summary),
                            model + " Numbers that are left at 32 bits; inputs: layers that read float numbers, which "
                                    "convolutions of integers do not. layers.csv has what each layer reads.",
                            "float.csv",
                            {}});
  return section;
}

PageSection how_it_was_made(const RunReport& report) {
  PageSection section{.title = "How it was made"};
  section.facts = {{"run", report.path.string()},
                   {"experiment", experiment_text(report.config)},
                   {"configuration hash", config_hash(report.config)}};
  if (report.environment.is_object())
    for (const auto& [name, value] : report.environment.items())
      section.facts.emplace_back(name, text_of(report.environment, name.c_str()));
  else
    section.facts.emplace_back("machine", "unknown: env.json cannot be read");
  section.texts = {{"Command", report.command}, {"Configuration, every default written out", to_yaml(report.config)}};
  return section;
}

}  // namespace

Page run_page(const RunReport& report) {
  Page page;
  page.title = fmt::format("{}: {}seed {}", report.config.name, strength_words(report.config), report.config.seed);
  page.subtitle = fmt::format("{}; {}", experiment_text(report.config), report.state());
  page.notices = notices_of(report);
  page.numbers = numbers_of(report);
  page.sections.push_back(results(report));
  page.sections.push_back(bits(report));
  PageSection training{.title = "Training", .figures = training_figures(report)};
  if (training.figures.empty()) training.paragraphs.emplace_back("There is no epoch to show yet.");
  page.sections.push_back(std::move(training));
  page.sections.push_back(how_it_was_made(report));
  return page;
}

}  // namespace bsq
