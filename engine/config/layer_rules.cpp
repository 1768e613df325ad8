#include "engine/config/layer_rules.h"

#include "engine/base/suggest.h"
#include "kernels/base/error.h"
#include "kernels/types.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

namespace bsq {
namespace {

const LayerKey* find_key(const std::string& name) {
  const auto keys = layer_keys();
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const LayerKey& key) { return key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

std::vector<std::string> key_names() {
  std::vector<std::string> names;
  for (const LayerKey& key : layer_keys()) names.push_back(key.name);
  return names;
}

void read_key(const LayerKey& key, const YamlValue& value, LayerRule& rule) {
  if (key.flag != nullptr) {
    rule.*key.flag = read_bool(value);
    return;
  }
  const int number = read_integer<int>(value);
  if (number < key.minimum || number > key.maximum)
    fail(ErrorKind::usage, "must be an integer in {}..{}", key.minimum, key.maximum);
  rule.*key.number = number;
}

class Reader {
 public:
  Reader(const PlaceText& place, std::vector<Problem>& problems, const std::string& heading)
      : place_(place), problems_(problems), heading_(heading) {}

  LayerRule read(const YamlEntry& entry) {
    LayerRule rule{.pattern = entry.key, .places = {{"", place_(entry.where)}}};
    if (entry.value.kind != YamlValue::Kind::map || entry.value.entries.empty())
      report(rule, entry.where, fmt::format("= {}; expected keys, such as {{weight_bits: 8}}", show(entry.value)));
    for (const YamlEntry& inner : entry.value.entries) {
      const LayerKey* key = find_key(inner.key);
      if (key == nullptr) {
        report(rule, inner.where,
               fmt::format("has no key '{}', they are {}{}", inner.key, fmt::join(key_names(), ", "),
                           did_you_mean(inner.key, key_names())));
        continue;
      }
      try {
        read_key(*key, inner.value, rule);
        rule.places[key->name] = place_(inner.where);
      } catch (const Error& error) {
        report(rule, inner.where, fmt::format("{} = {}; {}", key->name, show(inner.value), error.what()));
      }
    }
    check(rule, entry.value);
    return rule;
  }

 private:
  void report(const LayerRule& rule, Position where, const std::string& what) {
    problems_.push_back({where, fmt::format("{}: '{}' {}", heading_, rule.pattern, what)});
  }

  /// What one rule cannot mean at once.
  void check(const LayerRule& rule, const YamlValue& entries) {
    const auto refuse = [&](const char* key, const std::string& what) {
      for (const YamlEntry& entry : entries.entries)
        if (entry.key == key) report(rule, entry.where, what);
    };
    if (rule.stays_float.value_or(false))
      for (const char* key : {"weight_bits", "max_bits", "fixed"})
        if (rule.places.contains(key) && (key != std::string("fixed") || *rule.fixed))
          refuse(key,
                 fmt::format("says float: true, and {} of weights that stay float means nothing; leave out one", key));
    if (rule.fixed.value_or(false) && rule.max_bits)
      refuse("max_bits", "says fixed: true, which keeps weight_bits; leave out max_bits");
    else if (rule.max_bits && rule.weight_bits && *rule.max_bits < *rule.weight_bits)
      refuse("max_bits",
             fmt::format("max_bits = {}; must be at least weight_bits = {}", *rule.max_bits, *rule.weight_bits));
  }

  const PlaceText& place_;
  std::vector<Problem>& problems_;
  const std::string& heading_;
};

}  // namespace

bool operator==(const LayerRule& a, const LayerRule& b) {
  const auto said = [](const LayerRule& rule) {
    return std::tie(rule.pattern, rule.weight_bits, rule.max_bits, rule.act_bits, rule.fixed, rule.stays_float);
  };
  return said(a) == said(b);
}

std::span<const LayerKey> layer_keys() {
  constexpr int kMostActBits = 8;
  static const std::vector<LayerKey> keys = {
      {.name = "weight_bits",
       .number = &LayerRule::weight_bits,
       .minimum = 1,
       .maximum = kMaxBits,
       .meaning = "bits of the layer's weights at the conversion"},
      {.name = "max_bits",
       .number = &LayerRule::max_bits,
       .minimum = 1,
       .maximum = kMaxBits,
       .meaning = "its weights never grow beyond"},
      {.name = "act_bits",
       .number = &LayerRule::act_bits,
       .minimum = 0,
       .maximum = kMostActBits,
       .meaning = "bits of this activation, in stages that quantize any; 0 = not quantized"},
      {.name = "fixed", .flag = &LayerRule::fixed, .meaning = "the weights keep weight_bits: no penalty, no pruning"},
      {.name = "float", .flag = &LayerRule::stays_float, .meaning = "the weights stay float"},
  };
  return keys;
}

LayerRules read_layer_rules(const YamlValue& value, const PlaceText& place, std::vector<Problem>& problems,
                            const std::string& heading) {
  LayerRules rules;
  Reader reader(place, problems, heading);
  for (const YamlEntry& entry : value.entries) rules.rules.push_back(reader.read(entry));
  return rules;
}

std::string to_text(const LayerRules& rules, const std::function<std::string(const std::string&)>& quoted) {
  std::vector<std::string> texts;
  for (const LayerRule& rule : rules.rules) {
    std::vector<std::string> entries;
    for (const LayerKey& key : layer_keys()) {
      if (key.number != nullptr && rule.*key.number)
        entries.push_back(fmt::format("{}: {}", key.name, *(rule.*key.number)));
      if (key.flag != nullptr && rule.*key.flag) entries.push_back(fmt::format("{}: {}", key.name, *(rule.*key.flag)));
    }
    texts.push_back(fmt::format("{}: {{{}}}", quoted(rule.pattern), fmt::join(entries, ", ")));
  }
  return fmt::format("{{{}}}", fmt::join(texts, ", "));
}

}  // namespace bsq
