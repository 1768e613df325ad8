#include "tools/report/shown_stages.h"

#include "engine/methods/methods.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

namespace bsq {
namespace {

std::string leaf_of(const std::string& key) {
  return key.substr(key.find('.') + 1);
}

std::string lower_case(std::string text) {
  for (char& letter : text) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return text;
}

double number_of(const ConfigValue& value) {
  if (const int* whole = std::get_if<int>(&value)) return *whole;
  return std::get<double>(value);
}

}  // namespace

std::vector<StageChoice> stages_to_show(const Config& config) {
  const std::vector<StageChoice>& stages = config.schema().stages();
  const bool all_standard = std::all_of(stages.begin(), stages.end(), [&](const StageChoice& stage) {
    return stage.is_standard || !config.runs(stage.name);
  });
  std::vector<StageChoice> shown;
  for (const StageChoice& stage : stages) {
    const bool trains = config.find_stage(stage.name) != nullptr;
    if (trains && (config.runs(stage.name) || (all_standard && stage.is_standard))) shown.push_back(stage);
  }
  return shown;
}

std::vector<ShownStage> shown_stages(const Config& config) {
  std::vector<ShownStage> shown;
  for (const StageChoice& stage : stages_to_show(config))
    shown.push_back({stage.name, stage.widths, method_of_stage(stage.name, config)->describe()});
  return shown;
}

std::vector<ShownStage> shown_stages(const std::vector<RunReport>& reports) {
  std::vector<ShownStage> any;
  for (const RunReport& report : reports)
    for (ShownStage& stage : shown_stages(report.config))
      if (std::none_of(any.begin(), any.end(), [&](const ShownStage& other) { return other.name == stage.name; }))
        any.push_back(std::move(stage));
  const std::vector<StageChoice>& order = reports.front().config.schema().stages();
  const auto place = [&](const ShownStage& stage) {
    return std::find_if(order.begin(), order.end(), [&](const StageChoice& other) { return other.name == stage.name; });
  };
  std::sort(any.begin(), any.end(), [&](const ShownStage& a, const ShownStage& b) { return place(a) < place(b); });
  return any;
}

std::vector<ComparedStage> compared_stages(const std::vector<RunReport>& reports) {
  std::vector<ComparedStage> compared;
  for (const ShownStage& stage : shown_stages(reports))
    if (stage.widths != StageWidths::needs)
      compared.push_back({stage.name, lower_case(stage.method.title), stage.widths == StageWidths::none});
  return compared;
}

RunMethod method_of_run(const Config& config) {
  RunMethod found, other;
  for (const StageChoice& stage : config.schema().stages()) {
    if (!config.runs(stage.name) || config.find_stage(stage.name) == nullptr) continue;
    const std::string title = method_of_stage(stage.name, config)->describe().title;
    if (stage.widths == StageWidths::finds)
      found = {found.title.empty() ? title : found.title + ", " + title, stage.name};
    else
      other = {title, stage.name};
  }
  if (!found.title.empty()) return found;
  if (!other.title.empty()) return other;
  return {config.stages.empty() ? "" : config.stages.back(), ""};
}

std::vector<Strength> strengths_of(const std::vector<ShownStage>& stages) {
  std::vector<Strength> strengths;
  for (const ShownStage& stage : stages)
    if (const std::string& key = stage.method.strength_key; !key.empty()) {
      const bool is_taken = std::any_of(strengths.begin(), strengths.end(),
                                        [&](const Strength& other) { return leaf_of(other.key) == leaf_of(key); });
      strengths.push_back({key, is_taken ? key : leaf_of(key)});
    }
  return strengths;
}

std::vector<Strength> strengths_of(const Config& config) {
  const std::vector<StageChoice>& stages = config.schema().stages();
  const bool finds_widths = std::any_of(stages.begin(), stages.end(), [&](const StageChoice& stage) {
    return stage.widths == StageWidths::finds && config.runs(stage.name);
  });
  std::vector<ShownStage> shown = shown_stages(config);
  if (finds_widths) std::erase_if(shown, [&](const ShownStage& stage) { return !config.runs(stage.name); });
  return strengths_of(shown);
}

std::vector<Strength> strengths_of(const std::vector<RunReport>& reports) {
  std::vector<ShownStage> shown;
  for (const RunReport& report : reports)
    for (const Strength& strength : strengths_of(report.config))
      if (std::none_of(shown.begin(), shown.end(),
                       [&](const ShownStage& stage) { return stage.method.strength_key == strength.key; }))
        shown.push_back({"", StageWidths::finds, {.title = "", .strength_key = strength.key}});
  return strengths_of(shown);
}

std::optional<double> value_of(const Config& config, const Strength& strength) {
  for (const Strength& own : strengths_of(config))
    if (own.key == strength.key) return number_of(config.schema().find(own.key)->field.get(config));
  return std::nullopt;
}

std::string strength_list(const Config& config, const std::vector<Strength>& wanted) {
  std::vector<std::string> parts;
  for (const Strength& strength : wanted)
    if (const std::optional<double> value = value_of(config, strength))
      parts.push_back(fmt::format("{} {:g}", strength.title, *value));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string strength_words(const Config& config) {
  std::string words;
  for (const Strength& strength : strengths_of(config))
    words += fmt::format("{} {:g}, ", strength.title, *value_of(config, strength));
  return words;
}

}  // namespace bsq
