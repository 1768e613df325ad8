// The table of configuration keys: one row a key, behind reading, checking, printing, help and JSON schema.
#pragma once

#include "engine/config/config.h"
#include "engine/config/yaml_reader.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <variant>
#include <vector>

namespace bsq {

/// The value of a key. The alternative it holds in a default Config is the key's type.
using ConfigValue = std::variant<bool, int, std::uint64_t, double, std::string, std::vector<int>, std::vector<double>,
                                 std::vector<std::string>>;

/// Where a key lives in a Config.
struct ConfigField {
  std::function<ConfigValue(const Config&)> get;
  std::function<void(Config&, const ConfigValue&)> set;
};

/// What a value, or each element of a list, may be.
struct Allowed {
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices;  // of texts; empty: any
  std::size_t length = 0;            // of a list; 0: any
};

struct ConfigKey {
  std::string name;  // dotted; at most one dot
  ConfigField field;
  Allowed allowed;
  std::string meaning;
  std::string old_flag = "";  // of the published scripts
  bool may_change_on_resume = false;

  std::string section() const;  // `bsq` of `bsq.alpha`, empty for keys of the root
  std::string leaf() const;     // `alpha` of `bsq.alpha`
};

/// All keys, sections together, in the order they are printed. A constant table, built on first use.
const std::vector<ConfigKey>& config_keys();

/// Names of the sections, in order, the root (an empty name) first.
std::vector<std::string> config_sections();

/// The key's value out of YAML, checked for type and range. Throws Error(usage) with the reason alone.
ConfigValue read_config_value(const ConfigKey& key, const YamlValue& value);

/// What the key accepts, in words: `an integer in 1..8`, `a list of 3 numbers >= 0`.
std::string allowed_text(const ConfigKey& key);

/// A value as YAML, in flow style.
std::string to_text(const ConfigValue& value);

}  // namespace bsq
