// A configuration key: a row of the table (config_schema.h) behind reading, checking, printing, help and JSON schema.
#pragma once

#include "engine/config/config.h"
#include "engine/config/yaml_reader.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace bsq {

/// Where a key lives in a Config.
struct ConfigField {
  std::function<ConfigValue(const Config&)> get;
  std::function<void(Config&, const ConfigValue&)> set;
};

/// What a value, or each element of a list, may be.
struct Allowed {
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices;  // what a text may be; empty: anything
  std::size_t length = 0;            // of a list; 0: any length
  bool is_path = false;              // a text that names a file or folder
  bool is_made = false;              // a folder, made where there is none
};

inline Allowed anything() {
  return {};
}
inline Allowed a_path() {
  return {.choices = {}, .is_path = true};
}
inline Allowed a_folder_that_is_made() {
  return {.choices = {}, .is_path = true, .is_made = true};
}
inline Allowed between(double minimum, double maximum) {
  return {.minimum = minimum, .maximum = maximum, .choices = {}};
}
inline Allowed at_least(double minimum) {
  return {.minimum = minimum, .choices = {}};
}
inline Allowed one_of(std::vector<std::string> choices) {
  return {.choices = std::move(choices)};
}

struct ConfigKey {
  std::string name;  // dotted; at most one dot
  ConfigField field;
  Allowed allowed;
  std::string meaning;
  std::string old_flag = "";  // of the published scripts
  bool may_change_on_resume = false;
  bool is_of_grids = false;   // has no part in stages that train float weights
  ConfigValue standard = {};  // the default
  /// Whether a configuration has it; one that has not neither prints nor compares it. Null: all have it.
  std::function<bool(const Config&)> applies = nullptr;

  bool applies_to(const Config& config) const { return applies == nullptr || applies(config); }

  std::string section() const;  // `bsq` of `bsq.alpha`, empty for keys of the root
  std::string leaf() const;     // `alpha` of `bsq.alpha`
};

/// The key's value out of YAML, checked for type and range. Throws Error(usage) with the reason alone. Within a map
/// what is wrong has a place of its own and goes into `problems`; `place`: see layer_rules.h.
ConfigValue read_config_value(const ConfigKey& key, const YamlValue& value, const PlaceText& place,
                              std::vector<Problem>& problems);

/// A path in which `~/` is the home folder: no shell expands it in YAML, or after `key=` and `--option=`. Throws
/// Error(usage) with the reason alone for the home of another user, or if HOME is not set.
std::string with_home(const std::string& path);

/// What the key accepts, in words: `an integer in 1..8`, `a list of 3 numbers >= 0`.
std::string allowed_text(const ConfigKey& key);

/// A value as YAML, in flow style.
std::string to_text(const ConfigValue& value);

}  // namespace bsq
