// Several families share a row of the table of keys: what it holds by default, and whether it applies, depends on
// model.arch.
#include "engine/config/family_keys.h"

#include "engine/base/suggest.h"
#include "engine/config/config_schema.h"
#include "kernels/base/error.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace bsq {
namespace {

std::string name_of(const std::string& leaf) {
  return "model." + leaf;
}

ConfigField field_of(const std::string& leaf) {
  return {[leaf](const Config& config) { return config.family_value(leaf); },
          [leaf](Config& config, const ConfigValue& value) { config.set_family(leaf, value); }};
}

/// What either allows.
Allowed widest(const Allowed& a, const Allowed& b) {
  Allowed both = {.minimum = std::min(a.minimum, b.minimum), .maximum = std::max(a.maximum, b.maximum), .choices = {}};
  if (a.choices.empty() || b.choices.empty()) return both;
  both.choices = a.choices;
  for (const std::string& choice : b.choices)
    if (std::find(a.choices.begin(), a.choices.end(), choice) == a.choices.end()) both.choices.push_back(choice);
  return both;
}

}  // namespace

void ConfigSchema::add_family_keys(const std::string& family, const std::vector<FamilyKey>& keys) {
  for (const FamilyKey& key : keys) {
    add_family_key(family, key);
    family_keys_[family].push_back(key);
  }
}

void ConfigSchema::add_family_key(const std::string& family, const FamilyKey& key) {
  const auto shared =
      std::find_if(keys_.begin(), keys_.end(), [&](const ConfigKey& other) { return other.name == name_of(key.leaf); });
  if (shared != keys_.end()) {
    shared->allowed = widest(shared->allowed, key.allowed);
    shared->meaning += fmt::format("; {}: {}", family, key.meaning);
    return;
  }
  add({.name = name_of(key.leaf),
       .field = field_of(key.leaf),
       .allowed = key.allowed,
       .meaning = fmt::format("{}: {}", family, key.meaning),
       .old_flag = key.old_flag,
       .applies = [leaf = key.leaf](const Config& config) {
         return config.schema().find_family_key(config.model.arch, leaf) != nullptr;
       }});
}

const FamilyKey* ConfigSchema::find_family_key(const std::string& family, const std::string& leaf) const {
  const auto keys = family_keys_.find(family);
  if (keys == family_keys_.end()) return nullptr;
  const auto found =
      std::find_if(keys->second.begin(), keys->second.end(), [&](const FamilyKey& key) { return key.leaf == leaf; });
  return found == keys->second.end() ? nullptr : &*found;
}

const ConfigValue& Config::family_value(const std::string& leaf) const {
  if (const auto set = family_values_.find(leaf); set != family_values_.end()) return set->second;
  if (const FamilyKey* key = schema().find_family_key(model.arch, leaf)) return key->standard;
  for (const std::string& family : schema().families())
    if (const FamilyKey* key = schema().find_family_key(family, leaf)) return key->standard;
  fail(ErrorKind::internal, "no family has a key {}", leaf);
}

void check_family_keys(const Config& config, std::vector<Conflict>& conflicts) {
  const ConfigSchema& schema = config.schema();
  std::vector<std::string> own;
  for (const ConfigKey& key : schema.keys())
    if (schema.find_family_key(config.model.arch, key.leaf()) != nullptr && key.section() == "model")
      own.push_back(key.leaf());
  const std::string which = own.empty() ? "it has none" : fmt::format("it has {}", fmt::join(own, ", "));
  for (const ConfigKey& key : schema.keys()) {
    if (key.applies_to(config) || !config.has_set_family(key.leaf())) continue;
    conflicts.push_back({{key.name, "model.arch"},
                         fmt::format("{}: {} has no such key, {}{}", key.name, config.model.arch, which,
                                     did_you_mean(key.leaf(), own))});
  }
}

}  // namespace bsq
