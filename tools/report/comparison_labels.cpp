// Runs of one method are called by the keys in which they differ. Where methods differ, their names say most of it:
// then of the chain of stages, of what it begins with and of the numbers of a stage only what differs between runs of
// one method is said.
#include "tools/report/comparison_labels.h"

#include "engine/config/config_schema.h"
#include "tools/report/start_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace bsq {
namespace {

constexpr std::size_t kLongestLabel = 48;

using Keys = std::vector<const ConfigKey*>;

const Config& settings_of(const RunGroup& group) {
  return group.runs.front()->config;
}

bool has_key(const std::vector<Strength>& strengths, const ConfigKey& key) {
  return std::any_of(strengths.begin(), strengths.end(),
                     [&](const Strength& strength) { return strength.key == key.name; });
}

/// The keys in which groups with a finished run differ; those of one method, or of all (empty).
Keys varying_keys(const std::vector<RunGroup>& groups, const std::string& method) {
  std::vector<const RunReport*> runs;
  for (const RunGroup& group : groups)
    if (!group.finished.empty() && (method.empty() || group.method == method)) runs.push_back(group.runs.front());
  Keys varying;
  if (runs.empty()) return varying;
  for (const ConfigKey& key : runs.front()->config.schema().keys()) {
    const ConfigValue first = compared_value(key, *runs.front());
    if (matters(key) &&
        std::any_of(runs.begin(), runs.end(), [&](const RunReport* run) { return compared_value(key, *run) != first; }))
      varying.push_back(&key);
  }
  return varying;
}

std::string text_of(const Keys& keys, const Config& config) {
  std::vector<std::string> parts;
  for (const ConfigKey* key : keys)
    if (key->applies_to(config)) parts.push_back(fmt::format("{}={}", key->name, to_text(key->field.get(config))));
  return fmt::format("{}", fmt::join(parts, " "));
}

/// `a, b` of those that are not empty.
std::string joined(std::vector<std::string> parts) {
  std::erase(parts, "");
  return fmt::format("{}", fmt::join(parts, ", "));
}

/// Whether a run of this method need not say the key, in which only other methods differ from it: its name does, or the
/// value is the usual one.
bool is_told_by_method(const ConfigKey& key, const Config& config) {
  return key.name == "stages" || key.name == "model.init" || config.find_stage(key.section()) != nullptr ||
         key.field.get(config) == key.standard;
}

std::vector<std::string> strength_keys(const Config& config) {
  std::vector<std::string> keys;
  for (const Strength& strength : strengths_of(config)) keys.push_back(strength.key);
  return keys;
}

std::string strength_titles(const Config& config) {
  std::vector<std::string> titles;
  for (const Strength& strength : strengths_of(config)) titles.push_back(strength.title);
  return fmt::format("{}", fmt::join(titles, ", "));
}

/// Runs of one method under another strength, such as alpha or a budget, are like another method.
void name_methods(std::vector<RunGroup>& groups) {
  for (RunGroup& group : groups) {
    const Config& config = settings_of(group);
    group.method = method_of_run(config).title;
    const bool has_others = std::any_of(groups.begin(), groups.end(), [&](const RunGroup& other) {
      return !other.finished.empty() && method_of_run(settings_of(other)).title == group.method &&
             strength_keys(settings_of(other)) != strength_keys(config);
    });
    if (const std::string titles = strength_titles(config); has_others && !titles.empty())
      group.method += " (" + titles + ")";
  }
}

void call_by_keys(RunGroup& group, const Keys& others, const Keys& all, const std::vector<Strength>& strengths) {
  const Config& config = settings_of(group);
  group.label = text_of(all, config);
  group.in_series = strength_list(config, strengths);
  if (group.in_series.empty())
    group.in_series = group.label;
  else
    group.series = text_of(others, config);
}

void call_by_method(RunGroup& group, Keys others, const Keys& within, const std::vector<Strength>& strengths) {
  const Config& config = settings_of(group);
  std::erase_if(others, [&](const ConfigKey* key) {
    return is_told_by_method(*key, config) && std::find(within.begin(), within.end(), key) == within.end();
  });
  const std::string keys = text_of(others, config), values = strength_list(config, strengths);
  const std::string title = method_of_run(config).title;
  group.label = joined({values.empty() ? group.method : title, keys, values});
  group.in_series = !values.empty() ? values : !keys.empty() ? keys : title;
  group.series = joined({group.method, values.empty() ? "" : keys});
}

}  // namespace

ConfigValue compared_value(const ConfigKey& key, const RunReport& run) {
  if (key.name == "model.init" && !run.start.kind.empty()) return run.start.kind;
  return key.field.get(run.config);
}

void label_groups(Comparison& comparison, std::vector<Strength> strengths) {
  std::vector<RunGroup>& groups = comparison.groups;
  name_methods(groups);
  const auto first =
      std::find_if(groups.begin(), groups.end(), [](const RunGroup& group) { return !group.finished.empty(); });
  comparison.several_methods = std::any_of(groups.begin(), groups.end(), [&](const RunGroup& group) {
    return !group.finished.empty() && group.method != first->method;
  });
  const Keys keys = varying_keys(groups, "");
  std::erase_if(strengths, [&](const Strength& strength) {
    return std::none_of(keys.begin(), keys.end(), [&](const ConfigKey* key) { return key->name == strength.key; });
  });
  Keys others = keys;
  std::erase_if(others, [&](const ConfigKey* key) { return has_key(strengths, *key); });
  if (strengths.size() == 1 && others.empty() && !comparison.several_methods) comparison.axis = strengths.front();
  for (RunGroup& group : groups) {
    if (group.finished.empty())
      group.label.clear();
    else if (comparison.several_methods)
      call_by_method(group, others, varying_keys(groups, group.method), strengths);
    else
      call_by_keys(group, others, keys, strengths);
  }
  const std::vector<RunGroup> named = groups;
  for (RunGroup& group : groups) {
    const auto same =
        std::count_if(named.begin(), named.end(), [&](const RunGroup& other) { return other.label == group.label; });
    if (!group.label.empty() && group.label.size() <= kLongestLabel && same == 1) continue;
    const bool is_empty = group.label.empty();
    group.label = group.runs.front()->path.string();
    group.in_series = group.label;
    if (!comparison.several_methods || is_empty) group.series.clear();
    if (comparison.several_methods && !is_empty) group.series = group.method;
  }
}

}  // namespace bsq
