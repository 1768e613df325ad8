#include "models/roles.h"

#include "engine/base/suggest.h"
#include "engine/base/text.h"
#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <set>

namespace bsq {
namespace {

/// What the rules come to for a key of a node: the last one that says it.
template <typename T>
struct Said {
  std::optional<T> value;
  std::string place;
  std::size_t rule = 0;  // its number

  bool is_true() const { return value && *value; }
};

/// A node as rules see it.
struct RuledNode {
  bool has_weights = false;     // quantized ones
  bool owns_weights = false;    // that are called by its name: not the bias of a convolution before it
  bool is_projection = false;   // that stays float
  std::string activation = {};  // name of its quantizer; empty: it has none
  Said<int> weight_bits = {}, max_bits = {}, act_bits = {};
  Said<bool> fixed = {}, stays_float = {};
};

bool has_flag(const NodeSpec& node, const char* option) {
  const auto found = node.options.find(option);
  return found != node.options.end() && *found == true;
}

bool matches(const std::string& pattern, const std::string& name) {
  return !name.empty() && fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

/// Decides about projections; returns the nodes that were left float.
std::vector<bool> decide_projections(NetworkSpec& spec, bool quantized) {
  std::vector<bool> left;
  for (NodeSpec& node : spec.nodes) {
    const bool is_projection = has_flag(node, "projection");
    node.options.erase("projection");
    if (is_projection && quantized) node.options["quantized"] = true;
    left.push_back(is_projection && !has_flag(node, "quantized"));
  }
  return left;
}

class Rules {
 public:
  Rules(NetworkSpec& spec, const QuantConfig& quant, const std::vector<bool>& float_projections)
      : spec_(spec), quant_(quant) {
    NetworkSpec all = spec;  // every activation quantized that can be
    for (NodeSpec& node : all.nodes) node.options.erase("act_bits");
    const Network network =
        build_network(all, {.activation = Activation::lsq, .act_bits = 1, .quantizes_signed = true});
    for (std::size_t i = 0; i < network.nodes().size(); ++i) {
      const Layer& layer = *network.nodes()[i].layer;
      RuledNode node{.is_projection = float_projections[i]};
      for (const ParameterId id : layer.parameters()) {
        const ParameterSpec& parameter = network.parameters()[static_cast<std::size_t>(id)];
        if (parameter.group != ParameterGroup::quantized) continue;
        node.has_weights = true;
        node.owns_weights |= parameter.role == Role::weight;
      }
      if (const auto quantizer = layer.quantizer()) node.activation = quantizer->name;
      nodes_.push_back(std::move(node));
    }
    for (const LayerRule& rule : quant.scheme.layers.rules) {
      rules_.push_back(&rule);
      for (const auto& [key, place] : rule.places) places_of_scheme_.insert(place);
    }
    for (const LayerRule& rule : quant.layers.rules) rules_.push_back(&rule);
  }

  void apply() {
    for (std::size_t i = 0; i < rules_.size(); ++i) match(*rules_[i], i);
    check_scheme_is_whole();
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      check(spec_.nodes[i], nodes_[i]);
      write(spec_.nodes[i], nodes_[i]);
    }
    if (problems_.empty() && std::none_of(nodes_.begin(), nodes_.end(), [](const RuledNode& node) {
          return node.has_weights && !node.stays_float.is_true();
        }))
      refuse(rules_.back()->places.at(""), "every layer stays float; leave one that is quantized");
    if (problems_.empty()) return;
    throw Error(ErrorKind::usage, problems_message(problems_));
  }

 private:
  /// Once, if several nodes have the same problem.
  void refuse(const std::string& place, const std::string& what) {
    if (!refused_.insert(place).second) return;
    problems_.push_back(
        fmt::format("{}: {}: {}", place, places_of_scheme_.contains(place) ? "scheme" : "quant.layers", what));
  }

  /// That of a smaller network of the same family has names that all are known.
  void check_scheme_is_whole() {
    if (quant_.scheme.layers.rules.empty()) return;
    std::vector<std::string> missing;
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      if (nodes_[i].owns_weights && !nodes_[i].weight_bits.value && !nodes_[i].stays_float.is_true())
        missing.push_back(spec_.nodes[i].name);
    if (missing.empty()) return;
    constexpr std::size_t kMostNamed = 5;
    const std::size_t more = missing.size() - std::min(missing.size(), kMostNamed);
    missing.resize(missing.size() - more);
    refuse(quant_.scheme.layers.rules.front().places.at(""),
           fmt::format("says no weight_bits of {}{}; add them, or is it the scheme of another network?",
                       fmt::join(missing, ", "), more > 0 ? fmt::format(" and {} more layers", more) : ""));
  }

  /// The nodes that a key of a rule is about.
  template <typename Says>
  void say(const LayerRule& rule, const char* key, bool of_activations, Says says) {
    const auto place = rule.places.find(key);
    if (place == rule.places.end()) return;
    bool means_something = false, is_projection = false;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const bool named = matches(rule.pattern, spec_.nodes[i].name);
      const bool is_meant =
          of_activations ? !nodes_[i].activation.empty() && (named || matches(rule.pattern, nodes_[i].activation))
                         : nodes_[i].has_weights && named;
      if (is_meant) says(nodes_[i], place->second);
      means_something |= is_meant;
      is_projection |= named && nodes_[i].is_projection;
    }
    if (means_something) return;
    const std::string why = of_activations  ? "no quantized activations"
                            : is_projection ? "no quantized weights, unless quant.projections is true"
                                            : "no quantized weights";
    refuse(place->second, fmt::format("'{}' has {}; {} means nothing there", rule.pattern, why, key));
  }

  void match(const LayerRule& rule, std::size_t number) {
    const auto is_named = [&](const std::string& name) { return matches(rule.pattern, name); };
    const std::vector<std::string> names = all_names();
    if (std::none_of(names.begin(), names.end(), is_named)) {
      refuse(rule.places.at(""),
             fmt::format("'{}' matches no layer{}", rule.pattern, did_you_mean(rule.pattern, names)));
      return;
    }
    const auto set = [&](auto RuledNode::*key, const auto& value) {
      return [&, key, number](RuledNode& node, const std::string& place) { node.*key = {value, place, number}; };
    };
    say(rule, "weight_bits", false, set(&RuledNode::weight_bits, rule.weight_bits));
    say(rule, "max_bits", false, set(&RuledNode::max_bits, rule.max_bits));
    say(rule, "fixed", false, set(&RuledNode::fixed, rule.fixed));
    say(rule, "float", false, set(&RuledNode::stays_float, rule.stays_float));
    say(rule, "act_bits", true, set(&RuledNode::act_bits, rule.act_bits));
  }

  std::vector<std::string> all_names() const {
    std::vector<std::string> names;
    for (const NodeSpec& node : spec_.nodes) names.push_back(node.name);
    for (const RuledNode& node : nodes_)
      if (!node.activation.empty()) names.push_back(node.activation);
    return names;
  }

  /// Of all rules together; a single one has been checked where it was read.
  void check(const NodeSpec& spec, const RuledNode& node) {
    const std::string& name = spec.name;
    if (node.fixed.is_true() && node.stays_float.is_true()) {
      const bool is_later = node.fixed.rule > node.stays_float.rule;
      refuse(is_later ? node.fixed.place : node.stays_float.place,
             fmt::format("{} is fixed: true and float: true; say false to one of them (the other is at {})", name,
                         is_later ? node.stays_float.place : node.fixed.place));
    }
    const int start = start_of(spec, node), most = most_of(spec, node);
    const bool says_bits = node.weight_bits.value || node.max_bits.value;
    if (says_bits && !node.fixed.is_true() && !node.stays_float.is_true() && start > most)
      refuse(node.max_bits.value ? node.max_bits.place : node.weight_bits.place,
             fmt::format("{} has weight_bits = {} and max_bits = {}; say {} as well", name, start, most,
                         node.max_bits.value ? "fewer weight_bits" : "max_bits"));
    if (node.act_bits.value.value_or(0) > 0 && quant_.act_bits == 0)
      refuse(node.act_bits.place, fmt::format("{} has act_bits = {}, but quant.act_bits = 0 leaves all activations "
                                              "float; set it to the bits of the others",
                                              name, *node.act_bits.value));
  }

  static std::optional<int> number_in(const NodeSpec& spec, const char* option) {
    const auto found = spec.options.find(option);
    return found == spec.options.end() ? std::nullopt : std::optional(found->get<int>());
  }
  int start_of(const NodeSpec& spec, const RuledNode& node) const {
    return node.weight_bits.value.value_or(number_in(spec, "weight_bits").value_or(quant_.weight_bits));
  }
  int most_of(const NodeSpec& spec, const RuledNode& node) const {
    return node.max_bits.value.value_or(number_in(spec, "max_bits").value_or(quant_.max_bits));
  }

  void write(NodeSpec& spec, const RuledNode& node) const {
    nlohmann::ordered_json& options = spec.options;
    if (node.act_bits.value) options["act_bits"] = *node.act_bits.value;
    if (node.stays_float.is_true()) {
      options["quantized"] = false;
      if (options.contains("bias_quantized")) options["bias_quantized"] = false;
      for (const char* option : {"weight_bits", "max_bits", "fixed"}) options.erase(option);
      return;
    }
    const int start = start_of(spec, node);
    if (node.weight_bits.value || node.fixed.is_true()) options["weight_bits"] = start;
    if (node.max_bits.value) options["max_bits"] = *node.max_bits.value;
    if (node.fixed.is_true()) options["fixed"] = true;
    if (node.fixed.value && !*node.fixed.value) options.erase("fixed");
    if (has_flag(spec, "fixed")) options.erase("max_bits");
  }

  NetworkSpec& spec_;
  const QuantConfig& quant_;
  std::vector<const LayerRule*> rules_;  // of the scheme, then of quant.layers, which wins
  std::set<std::string> places_of_scheme_;
  std::vector<RuledNode> nodes_;
  std::vector<std::string> problems_;
  std::set<std::string> refused_;  // places
};

}  // namespace

NetworkSpec with_roles(NetworkSpec spec, const QuantConfig& quant) {
  const std::vector<bool> float_projections = decide_projections(spec, quant.projections);
  if (!quant.layers.rules.empty() || !quant.scheme.layers.rules.empty()) Rules(spec, quant, float_projections).apply();
  return spec;
}

}  // namespace bsq
