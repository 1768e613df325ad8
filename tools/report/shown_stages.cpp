#include "tools/report/shown_stages.h"

#include "engine/methods/methods.h"

#include <fmt/format.h>

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
    if (stage.widths != StageWidths::needs) compared.push_back({stage.name, lower_case(stage.method.title)});
  return compared;
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

std::optional<double> value_of(const Config& config, const Strength& strength) {
  for (const Strength& own : strengths_of(shown_stages(config)))
    if (own.key == strength.key) return number_of(config.schema().find(own.key)->field.get(config));
  return std::nullopt;
}

std::string strength_words(const Config& config) {
  std::string words;
  for (const Strength& strength : strengths_of(shown_stages(config)))
    words += fmt::format("{} {:g}, ", strength.title, *value_of(config, strength));
  return words;
}

}  // namespace bsq
