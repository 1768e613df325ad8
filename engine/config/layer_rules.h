// quant.layers: what a configuration says of single layers, by patterns of their names.
//
//   layers:
//     conv1: {weight_bits: 8, fixed: true}
//     "layer3.*.conv2": {max_bits: 4}
//     layer1.0.relu1: {act_bits: 8}
//
// Patterns are those of a shell (`*`, `?`, `[...]`). Of all patterns that match a layer the last one that says a key
// counts. Which layers there are, models/roles.h knows.
#pragma once

#include "engine/config/yaml_reader.h"

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bsq {

/// An absent key says nothing.
struct LayerRule {
  std::string pattern;
  std::optional<int> weight_bits = {}, max_bits = {}, act_bits = {};
  std::optional<bool> fixed = {}, stays_float = {};  // `float` in files
  /// Of each key that it has, and of the pattern, which is "": `c.yaml:12:5`.
  std::map<std::string, std::string> places = {};
};

/// Wherever they stand.
bool operator==(const LayerRule& a, const LayerRule& b);

struct LayerRules {
  std::vector<LayerRule> rules = {};  // in the order in which they are written

  bool operator==(const LayerRules&) const = default;
};

/// A key of a rule.
struct LayerKey {
  std::string name;
  std::optional<int> LayerRule::*number = nullptr;  // this or the other
  std::optional<bool> LayerRule::*flag = nullptr;
  int minimum = 0, maximum = 0;  // of a number
  std::string meaning;
};
std::span<const LayerKey> layer_keys();

/// Where a position of the text is: `c.yaml:12:5`.
using PlaceText = std::function<std::string(Position)>;

/// Adds everything that is wrong to `problems`, rules that contradict themselves as well. `heading` begins each.
LayerRules read_layer_rules(const YamlValue& value, const PlaceText& place, std::vector<Problem>& problems,
                            const std::string& heading = "quant.layers");

/// `{conv1: {weight_bits: 8, fixed: true}}`. `quoted`: how YAML wants a pattern.
std::string to_text(const LayerRules& rules, const std::function<std::string(const std::string&)>& quoted);

}  // namespace bsq
