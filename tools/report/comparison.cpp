// Grouping by configuration, and the front.
#include "tools/report/comparison.h"

#include "data/datasets.h"
#include "engine/config/config_schema.h"
#include "models/families.h"
#include "tools/report/shown_stages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

constexpr std::size_t kLongestLabel = 48;

/// Whether a key is part of what a run does, its seed apart.
bool matters(const ConfigKey& key) {
  return !key.may_change_on_resume && key.name != "seed" && key.name != "name";
}

bool same_but_seed(const Config& a, const Config& b) {
  const std::vector<ConfigKey>& keys = a.schema().keys();
  return std::all_of(keys.begin(), keys.end(),
                     [&](const ConfigKey& key) { return !matters(key) || key.field.get(a) == key.field.get(b); });
}

const Config& config_of(const RunGroup& group) {
  return group.runs.front()->config;
}

/// The keys in which groups with a finished run differ.
std::vector<const ConfigKey*> varying_keys(const std::vector<RunGroup>& groups) {
  const auto first =
      std::find_if(groups.begin(), groups.end(), [](const RunGroup& group) { return !group.finished.empty(); });
  if (first == groups.end()) return {};
  std::vector<const ConfigKey*> varying;
  for (const ConfigKey& key : config_of(*first).schema().keys()) {
    const auto differs = [&](const RunGroup& group) {
      return key.field.get(config_of(group)) != key.field.get(config_of(*first));
    };
    const bool varies = std::any_of(groups.begin(), groups.end(),
                                    [&](const RunGroup& group) { return !group.finished.empty() && differs(group); });
    if (matters(key) && varies) varying.push_back(&key);
  }
  return varying;
}

std::string text_of(const std::vector<const ConfigKey*>& keys, const Config& config) {
  std::vector<std::string> parts;
  for (const ConfigKey* key : keys)
    if (key->applies_to(config)) parts.push_back(fmt::format("{}={}", key->name, to_text(key->field.get(config))));
  return fmt::format("{}", fmt::join(parts, " "));
}

/// `alpha 0.01`: the varying strengths that the run has, with their values; empty if it has none.
std::string strengths_text(const std::vector<Strength>& varying, const Config& config) {
  std::vector<std::string> parts;
  for (const Strength& strength : varying)
    if (const std::optional<double> value = value_of(config, strength))
      parts.push_back(fmt::format("{} {:g}", strength.title, *value));
  return fmt::format("{}", fmt::join(parts, ", "));
}

void label_groups(Comparison& comparison, std::vector<Strength> strengths) {
  const std::vector<const ConfigKey*> keys = varying_keys(comparison.groups);
  std::erase_if(strengths, [&](const Strength& strength) {
    return std::none_of(keys.begin(), keys.end(), [&](const ConfigKey* key) { return key->name == strength.key; });
  });
  std::vector<const ConfigKey*> others = keys;
  std::erase_if(others, [&](const ConfigKey* key) {
    return std::any_of(strengths.begin(), strengths.end(),
                       [&](const Strength& strength) { return key->name == strength.key; });
  });
  if (strengths.size() == 1 && others.empty()) comparison.axis = strengths.front();
  for (RunGroup& group : comparison.groups) {
    group.label = group.finished.empty() ? "" : text_of(keys, config_of(group));
    if (group.label.empty()) group.label = group.runs.front()->path.string();
    if (group.label.size() > kLongestLabel) {
      group.label = group.in_series = group.runs.front()->path.string();
      continue;
    }
    group.in_series = strengths_text(strengths, config_of(group));
    if (group.in_series.empty())
      group.in_series = group.label;
    else
      group.series = text_of(others, config_of(group));
  }
}

/// What groups are ordered by.
std::vector<std::pair<std::string, double>> strength_values(const Config& config) {
  std::vector<std::pair<std::string, double>> values;
  for (const Strength& strength : strengths_of(shown_stages(config)))
    values.emplace_back(strength.key, *value_of(config, strength));
  return values;
}

bool is_quantized(const RunReport& report) {
  const StageReport* last = report.last_done();
  return last != nullptr && !last->is_float() && last->result->stored_bits;
}

template <typename Value>
MeanAndSpread mean_of(const std::vector<const RunReport*>& runs, Value value) {
  MeanAndSpread result;
  for (const RunReport* run : runs) result.mean += value(*run) / static_cast<double>(runs.size());
  if (runs.size() < 2) return result;
  for (const RunReport* run : runs) result.spread += std::pow(value(*run) - result.mean, 2);
  result.spread = std::sqrt(result.spread / static_cast<double>(runs.size() - 1));
  return result;
}

void measure(RunGroup& group) {
  std::copy_if(group.runs.begin(), group.runs.end(), std::back_inserter(group.finished),
               [](const RunReport* run) { return is_quantized(*run); });
  const auto result = [](const RunReport& run) -> const StageResult& { return *run.last_done()->result; };
  group.top1 = mean_of(group.finished, [](const RunReport& run) { return *run.top1_of(run.last_done()->name); });
  group.bits = mean_of(group.finished, [&](const RunReport& run) { return result(run).bits_per_parameter; });
  group.stored_bits = mean_of(group.finished, [&](const RunReport& run) { return *result(run).stored_bits; });
  group.compression = mean_of(group.finished, [&](const RunReport& run) { return result(run).compression; });
  group.compression_everything =
      mean_of(group.finished, [&](const RunReport& run) { return result(run).compression_everything; });
}

void find_front(std::vector<RunGroup>& groups) {
  for (RunGroup& group : groups) {
    const auto beats = [&](const RunGroup& other) {
      const double accuracy = other.top1.mean - group.top1.mean;
      const double saved = group.stored_bits.mean - other.stored_bits.mean;
      return !other.finished.empty() && accuracy >= 0 && saved >= 0 && (accuracy > 0 || saved > 0);
    };
    group.on_front = !group.finished.empty() && std::none_of(groups.begin(), groups.end(), beats);
  }
}

template <typename Text>
std::vector<std::string> distinct(const std::vector<const RunReport*>& runs, Text text) {
  std::vector<std::string> texts;
  for (const RunReport* run : runs)
    if (std::find(texts.begin(), texts.end(), text(run->config)) == texts.end()) texts.push_back(text(run->config));
  return texts;
}

void remark(Comparison& comparison) {
  const std::vector<std::string> networks = distinct(comparison.runs, network_words);
  const std::vector<std::string> data = distinct(comparison.runs, describe_test_set);
  comparison.same_network = networks.size() == 1;
  comparison.same_data = data.size() == 1;
  if (!comparison.same_network)
    comparison.remarks.push_back(fmt::format(
        "These are different networks ({}): their layers cannot be set side by side, and a ratio is against "
        "each network's own size in float.",
        fmt::join(networks, "; ")));
  if (!comparison.same_data)
    comparison.remarks.push_back(
        fmt::format("These runs are tested on different images ({}): their accuracies say "
                    "nothing about each other, so there is no Pareto line.",
                    fmt::join(data, "; ")));
  std::vector<std::string> missing;
  for (const RunReport* run : comparison.runs)
    if (!is_quantized(*run)) missing.push_back(fmt::format("{} ({})", run->path.string(), run->state()));
  if (!missing.empty())
    comparison.remarks.push_back(
        fmt::format("Without a quantized model, and so not in the figures: {}.", fmt::join(missing, ", ")));
}

}  // namespace

Comparison compare(const std::vector<RunReport>& reports) {
  Comparison comparison;
  for (const RunReport& report : reports) {
    comparison.runs.push_back(&report);
    const auto group = std::find_if(comparison.groups.begin(), comparison.groups.end(), [&](const RunGroup& other) {
      return same_but_seed(config_of(other), report.config);
    });
    if (group == comparison.groups.end())
      comparison.groups.emplace_back().runs = {&report};
    else
      group->runs.push_back(&report);
  }
  std::stable_sort(comparison.groups.begin(), comparison.groups.end(), [](const RunGroup& a, const RunGroup& b) {
    return strength_values(config_of(a)) < strength_values(config_of(b));
  });
  for (RunGroup& group : comparison.groups) measure(group);
  label_groups(comparison, strengths_of(shown_stages(reports)));
  remark(comparison);
  if (comparison.same_data) find_front(comparison.groups);
  return comparison;
}

}  // namespace bsq
