// A Config as text, and the table of keys as help and as JSON schema.
#include "engine/config/config.h"

#include "engine/config/config_schema.h"
#include "kernels/base/hash.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <type_traits>

namespace bsq {
namespace {

using Json = nlohmann::ordered_json;

std::string value_text(const ConfigKey& key, const Config& config) {
  return to_text(key.field.get(config));
}

/// `meaning (--flag)`
std::string meaning_and_flag(const ConfigKey& key) {
  return key.old_flag.empty() ? key.meaning : fmt::format("{} ({})", key.meaning, key.old_flag);
}

/// As the family of the configuration has it, if the key is one of a family.
std::string meaning_in(const Config& config, const ConfigKey& key) {
  const FamilyKey* own =
      key.section() == "model" ? config.schema().find_family_key(config.model.arch, key.leaf()) : nullptr;
  if (own == nullptr) return meaning_and_flag(key);
  return own->old_flag.empty() ? own->meaning : fmt::format("{} ({})", own->meaning, own->old_flag);
}

/// A bound as an integer wherever it is one, so that the schema reads 8 and not 8.0.
Json bound(double value) {
  return value == std::floor(value) ? Json(static_cast<std::int64_t>(value)) : Json(value);
}

/// Schema of one value, or of one element of a list.
template <typename T>
Json element_schema(const Allowed& allowed) {
  Json schema;
  if constexpr (std::is_same_v<T, bool>) {
    schema["type"] = "boolean";
  } else if constexpr (std::is_same_v<T, std::string>) {
    schema["type"] = "string";
  } else {
    schema["type"] = std::is_integral_v<T> ? "integer" : "number";
  }
  if (std::isfinite(allowed.minimum)) schema["minimum"] = bound(allowed.minimum);
  if (std::isfinite(allowed.maximum)) schema["maximum"] = bound(allowed.maximum);
  if (!allowed.choices.empty()) schema["enum"] = allowed.choices;
  return schema;
}

template <typename T>
Json value_schema(const Allowed& allowed, const T&) {
  return element_schema<T>(allowed);
}

template <typename T>
Json value_schema(const Allowed& allowed, const std::vector<T>&) {
  Json schema = {{"type", "array"}, {"items", element_schema<T>(allowed)}};
  if (allowed.length > 0) schema["minItems"] = schema["maxItems"] = allowed.length;
  return schema;
}

/// `or_file`: the name of a file may stand in its place.
Json rules_schema(bool or_file) {
  Json keys = Json::object();
  for (const LayerKey& key : layer_keys()) {
    keys[key.name] = {{"description", key.meaning}, {"type", key.number != nullptr ? "integer" : "boolean"}};
    if (key.number == nullptr) continue;
    keys[key.name]["minimum"] = key.minimum;
    keys[key.name]["maximum"] = key.maximum;
  }
  Json types = {"object", "null"};
  if (or_file) types.push_back("string");
  return {{"type", types},
          {"additionalProperties", {{"type", "object"}, {"additionalProperties", false}, {"properties", keys}}}};
}

Json value_schema(const Allowed&, const LayerRules&) {
  return rules_schema(false);
}

Json value_schema(const Allowed&, const Scheme&) {
  return rules_schema(true);
}

Json json_of(const LayerRules&) {  // of the default
  return Json::object();
}

Json json_of(const Scheme&) {
  return Json::object();
}

template <typename T>
Json json_of(const T& value) {
  return value;
}

Json key_schema(const ConfigKey& key) {
  return std::visit(
      [&](const auto& value) {
        Json schema = {{"description", meaning_and_flag(key)}};
        schema.update(value_schema(key.allowed, value));
        schema["default"] = json_of(value);
        return schema;
      },
      key.standard);
}

std::vector<std::string> differences_where(const Config& run, const Config& now, CompareKeys which,
                                           const std::function<bool(const ConfigKey&)>& has_part) {
  std::vector<std::string> found;
  for (const ConfigKey& key : now.schema().keys()) {
    if (which == CompareKeys::fixed_on_resume && key.may_change_on_resume) continue;
    if (!has_part(key)) continue;
    if (!key.applies_to(run) && !key.applies_to(now)) continue;
    const std::string before = value_text(key, run), after = value_text(key, now);
    if (before != after) found.push_back(fmt::format("{} {} in the run, {} now", key.name, before, after));
  }
  return found;
}

}  // namespace

std::string to_yaml(const Config& config) {
  constexpr std::size_t kCommentColumn = 44;
  std::string text = "# Every key of the run; `bsq train` takes this file as it is.\n";
  std::string section;
  for (const ConfigKey& key : config.schema().keys()) {
    if (!key.applies_to(config)) continue;
    if (key.section() != section) {
      section = key.section();
      text += fmt::format("\n{}:\n", section);
    }
    const std::string line = fmt::format("{}{}: {}", section.empty() ? "" : "  ", key.leaf(), value_text(key, config));
    text += fmt::format("{:<{}} # {}\n", line, kCommentColumn, meaning_in(config, key));
  }
  return text;
}

std::string config_hash(const Config& config) {
  std::uint64_t hash = kEmptyHash;
  for (const ConfigKey& key : config.schema().keys())
    if (key.applies_to(config)) hash = hash_of(fmt::format("{}={}\n", key.name, value_text(key, config)), hash);
  return short_text(hash);
}

std::vector<std::string> differences(const Config& run, const Config& now, CompareKeys which) {
  return differences_where(run, now, which, [](const ConfigKey&) { return true; });
}

std::vector<std::string> differences_in_past(const Config& run, const Config& now, std::size_t stages,
                                             CompareKeys which) {
  const auto first = [&](const Config& config) {
    return std::vector(config.stages.begin(),
                       config.stages.begin() + static_cast<std::ptrdiff_t>(std::min(stages, config.stages.size())));
  };
  const std::vector<std::string> past = first(run);
  const bool is_float = std::ranges::all_of(
      past, [&](const std::string& stage) { return now.schema().find_stage(stage)->widths == StageWidths::none; });
  const auto has_part = [&](const ConfigKey& key) {
    if (key.name == "name" || key.name == "stages" || (is_float && key.is_of_grids)) return false;
    const std::string section = key.section();
    const bool is_of_stage = now.schema().find_stage(section) != nullptr;
    return !is_of_stage || std::ranges::find(past, section) != past.end();
  };
  std::vector<std::string> found = differences_where(run, now, which, has_part);
  if (past != first(now) || past.size() < stages)
    found.insert(found.begin(), fmt::format("stages {} in the run, {} now", to_text(run.stages), to_text(now.stages)));
  return found;
}

std::string describe_keys(const ConfigSchema& schema) {
  std::string text;
  std::string section;
  for (const ConfigKey& key : schema.keys()) {
    if (key.section() != section) text += '\n';
    section = key.section();
    const std::string flag = key.old_flag.empty() ? "" : fmt::format(" ({})", key.old_flag);
    const std::string setting = fmt::format("{}={}", key.name, to_text(key.standard));
    text += fmt::format("  {:<34} {}; {}{}\n", setting, key.meaning, allowed_text(key), flag);
  }
  return text;
}

std::string config_json_schema(const ConfigSchema& schema) {
  const Json file_name = {{"type", "string"}};
  Json text = {{"$schema", "http://json-schema.org/draft-07/schema#"},
               {"title", "bsq experiment"},
               {"type", "object"},
               {"additionalProperties", false}};
  Json& properties = text["properties"];
  properties["_base_"] = {{"description", "file to inherit, or a list of them; relative to this file"},
                          {"anyOf", Json::array({file_name, {{"type", "array"}, {"items", file_name}}})}};
  properties["sweep"] = {
      {"description", "runs of bsq sweep, by name: keys and values as on its command line; every: those of all runs"},
      {"type", "object"},
      {"additionalProperties", {{"type", "string"}}}};
  for (const ConfigKey& key : schema.keys()) {
    if (key.section().empty()) {
      properties[key.leaf()] = key_schema(key);
      continue;
    }
    Json& section = properties[key.section()];
    section["type"] = {"object", "null"};
    section["additionalProperties"] = false;
    section["properties"][key.leaf()] = key_schema(key);
  }
  return text.dump(2) + "\n";
}

}  // namespace bsq
