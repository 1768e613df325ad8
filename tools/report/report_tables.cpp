// The report on a terminal: at most 110 columns.
#include "tools/report/report_tables.h"

#include "engine/base/text.h"
#include "models/families.h"
#include "tools/report/bits_text.h"
#include "tools/report/cost_tables.h"
#include "tools/report/shown_stages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

namespace bsq {
namespace {

std::string percent(const std::optional<double>& value) {
  return value ? fmt::format("{:.2f}", *value) : "";
}

std::string heading(const RunReport& report) {
  constexpr std::size_t kWidth = 98;
  const Config& config = report.config;
  std::string text;
  const auto line = [&](const char* label, const std::string& value) {
    text += fmt::format("{:<10}{}\n", label, shortened(value, kWidth));
  };
  line("run", fmt::format("{}  {}", report.path.string(), report.state()));
  line("network", experiment_text(config));
  for (const ShownStage& stage : shown_stages(config))
    if (!stage.method.settings.empty()) line(stage.method.title.c_str(), stage.method.settings);
  line("machine", fmt::format("{}; {}", text_of(report.environment, "cpu"), text_of(report.environment, "device")));
  line("program",
       fmt::format("bsq {} {}", text_of(report.environment, "bsq_version"), text_of(report.environment, "commit")));
  return text;
}

using Moment = std::pair<std::string, int>;  // stage, epochs before the re-quantization

/// Bits of every layer after every re-quantization; if there are many, after the newest ones.
std::string history_table(const RunReport& report) {
  constexpr std::size_t kMostColumns = 14;
  std::vector<Moment> moments;
  std::vector<std::string> layers;
  std::map<std::pair<Moment, std::string>, const PrecisionRow*> rows;
  for (const PrecisionRow& row : report.history) {
    const Moment moment{row.stage, row.epoch};
    if (moments.empty() || moments.back() != moment) moments.push_back(moment);
    if (moments.size() == 1) layers.push_back(row.layer);
    rows[{moment, row.layer}] = &row;
  }
  const std::size_t first = moments.size() > kMostColumns ? moments.size() - kMostColumns : 0;
  std::vector<Column> columns = {{"bits after epoch", Align::left}, {first == 0 ? "start" : "before"}};
  for (std::size_t i = first; i < moments.size(); ++i) columns.push_back({std::to_string(moments[i].second)});
  Table table(columns);
  for (const std::string& layer : layers) {
    std::vector<std::string> cells = {layer_name(layer)};
    for (std::size_t i = first; i < moments.size(); ++i) {
      const PrecisionRow* row = rows[{moments[i], layer}];
      if (i == first) cells.push_back(row == nullptr ? "" : std::to_string(row->bits_before));
      cells.push_back(row == nullptr ? "" : std::to_string(row->bits_after));
    }
    table.add_row(std::move(cells));
  }
  return first == 0 ? table.text()
                    : table.text() + fmt::format("{} earlier re-quantizations: report/history.csv\n", first);
}

}  // namespace

std::string stages_notes(const RunReport& report) {
  const StageReport* last = nullptr;  // that was chosen so
  for (const StageReport& stage : report.stages)
    if (stage.result && stage.result->best_holdout_top1) last = &stage;
  return (last != nullptr
              ? fmt::format(
                    "best: test accuracy of the epoch that was the best on {} images held out of the training set\n"
                    "({:.2f} % there in stage {}), of those since the last re-quantization. ",
                    with_thousands(static_cast<std::uint64_t>(last->result->holdout_images)),
                    *last->result->best_holdout_top1, last->name)
              : "best: by test accuracy, of the epochs since the last re-quantization. ") +
         "Ratios against float32: paper = bits per\n"
         "quantized weight, an empty layer as 1 bit; empty=0 = that layer as 0 bits; stored = bits per weight with "
         "signs "
         "and\n"
         "scales, an empty layer as 0; all = shortcuts and batch norm counted too, packed; file = the model file as it "
         "is, with numbers in float32 to train on.\n";
}

std::string experiment_text(const Config& config) {
  const std::string activations =
      config.quant.act_bits == 0 ? "float activations" : fmt::format("{}-bit activations", config.quant.act_bits);
  return fmt::format("{}; data {}; {}; seed {}", network_words(config), config.data.kind, activations, config.seed);
}

std::string text_of(const nlohmann::json& environment, const char* key) {
  if (!environment.is_object() || !environment.contains(key)) return "unknown";
  const nlohmann::json& value = environment[key];
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string stored_text(const StageResult& result) {
  return result.stored_bits ? fmt::format("{:.3f}", *result.stored_bits) : "";
}

Table stages_table(const RunReport& report) {
  Table table({{"stage", Align::left},
               {"epochs"},
               {"test top-1 %"},
               {"top-5 %"},
               {"loss"},
               {"best top-1 %"},
               {"at"},
               {"bits/weight"},
               {"stored"},
               {"paper"},
               {"empty=0"},
               {"all"},
               {"file"}});
  for (const StageReport& stage : report.stages) {
    std::vector<std::string> row = {
        stage.name, stage.planned_epochs == 0 ? "-" : fmt::format("{}/{}", stage.epochs, stage.planned_epochs)};
    if (const auto& result = stage.result) {
      row.insert(
          row.end(),
          {percent(result->test_top1), percent(result->test_top5), fmt::format("{:.4f}", result->test_loss),
           percent(result->best_top1), result->best_top1 ? std::to_string(result->best_epoch) : "",
           fmt::format("{:.3f}", result->bits_per_parameter), stored_text(*result), ratio_text(result->compression),
           ratio_text(result->compression_without_empty), ratio_text(result->compression_everything),
           stage.file_bytes == 0
               ? ""
               : ratio_text(static_cast<double>(stage.float_file_bytes) / static_cast<double>(stage.file_bytes))});
    } else {
      row.push_back(stage.form.empty() ? "not started" : "not finished");
    }
    table.add_row(std::move(row));
  }
  return table;
}

std::string verdict(const RunReport& report) {
  const StageReport* last = report.last_done();
  if (last == nullptr || last->is_float() || !report.bit_summary) return "";
  const double top1 = *report.top1_of(last->name);
  const std::optional<FloatAccuracy> in_float = report.float_accuracy();
  return fmt::format(
      "{:.2f} %{} at {:.3f} bits per weight ({:.3f} stored), {} by the paper's rule, {} with everything "
      "counted\n",
      top1, in_float ? fmt::format(", {:+.2f} points against the float model,", top1 - in_float->top1) : "",
      report.bit_summary->bits_per_parameter(), report.bit_summary->stored_bits_per_parameter(),
      ratio_text(report.bit_summary->compression()), ratio_text(report.bit_summary->compression_on_disk()));
}

std::string deployed_text(const RunReport& report) {
  if (!report.deployed) return "";
  const std::string rounded = report.deployed->rounded.empty() ? ""
                                                               : fmt::format("; rounded to 127 levels to a side: {}",
                                                                             fmt::join(report.deployed->rounded, ", "));
  return fmt::format("in integers, as it is deployed: {:.2f} %{}\n", report.deployed->top1, rounded);
}

std::string budget_text(const RunReport& report) {
  std::string text;
  for (const StageReport& stage : report.stages) {
    if (!stage.budget) continue;
    const BudgetReport& budget = *stage.budget;
    text += fmt::format("budget of {}: {}", stage.name, budget.text());
    const auto met =
        std::find_if(budget.epochs.begin(), budget.epochs.end(), [](const BudgetRow& row) { return row.is_met; });
    if (met != budget.epochs.end()) text += fmt::format("; met after epoch {}", met->epoch);
    int removed_by_then = 0;
    for (const BudgetRow& row : budget.epochs) removed_by_then += row.removed;
    if (removed_by_then > 0)
      text += fmt::format("; {} planes were removed on the way, since training was behind the plan", removed_by_then);
    if (budget.bits_at_end) text += fmt::format("; {:.3f} at the end", *budget.bits_at_end);
    std::vector<std::string> removed;
    for (const auto& [tensor, planes] : budget.removed)
      removed.push_back(fmt::format("{} of {}", planes, layer_name(tensor)));
    if (!removed.empty())
      text += fmt::format("; training came to {:.3f}, so that planes were removed: {}", budget.bits_trained,
                          fmt::join(removed, ", "));
    text += '\n';
  }
  return text;
}

std::string report_text(const RunReport& report) {
  std::vector<std::string> parts = {heading(report)};
  if (report.epochs.empty() && report.last_done() == nullptr) {
    parts.emplace_back("no epoch is finished yet, there is nothing to report\n");
  } else {
    parts.push_back(stages_table(report).text() + stages_notes(report));
    parts.push_back(cost_table(report).text() + kCostNotes);
  }
  if (const std::string budgets = budget_text(report); !budgets.empty()) parts.push_back(budgets);
  if (!report.history.empty()) parts.push_back(history_table(report));
  if (report.bit_summary) {
    parts.push_back(fmt::format("model: checkpoints/{}\n{}", report.model, layer_table(*report.bit_summary).text()));
    parts.push_back(compression_table(*report.bit_summary, report.model_bytes).text());
    parts.push_back(float_table(*report.bit_summary).text());
    if (const std::string sentence = operations_text(report); !sentence.empty()) parts.push_back(sentence);
  }
  if (const std::string sentence = verdict(report); !sentence.empty()) parts.push_back("result: " + sentence);
  if (const std::string deployed = deployed_text(report); !deployed.empty()) parts.back() += "        " + deployed;
  return fmt::format("{}", fmt::join(parts, "\n"));
}

}  // namespace bsq
