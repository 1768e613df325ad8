#include "engine/network/quantize_signed.h"

#include <algorithm>
#include <set>

namespace bsq {
namespace {

constexpr const char* kQuantize = "quantize";

bool has_flag(const NodeSpec& node, const char* option) {
  const auto found = node.options.find(option);
  return found != node.options.end() && *found == true;
}

/// Whether its inputs would be levels if they had any.
bool multiplies_levels(const NodeSpec& node, bool projections) {
  const bool has_weights = node.layer == "conv2d" || node.layer == "linear";
  return has_weights && (has_flag(node, "quantized") || (projections && has_flag(node, "projection")));
}

/// `signed_numbers`: the nodes before it whose numbers may be below 0.
bool may_be_negative(const NodeSpec& node, const std::set<std::string>& signed_numbers) {
  if (node.layer == "conv2d" || node.layer == "linear" || node.layer == kQuantize) return true;
  if (node.layer == "norm_act" || node.layer == "bias_act" || node.layer == "add") {
    if (has_flag(node, "quantized")) return false;
    const auto activation = node.options.find("activation");
    return activation == node.options.end() ? node.layer == "add" : *activation == "none";
  }
  return std::ranges::any_of(node.inputs, [&](const std::string& input) { return signed_numbers.contains(input); });
}

}  // namespace

void quantize_signed(NetworkSpec& spec, bool projections) {
  std::set<std::string> names, signed_numbers, read_as_levels;
  for (const NodeSpec& node : spec.nodes) {
    names.insert(node.name);
    if (may_be_negative(node, signed_numbers)) signed_numbers.insert(node.name);
    if (multiplies_levels(node, projections)) read_as_levels.insert(node.inputs.begin(), node.inputs.end());
  }
  std::vector<NodeSpec> nodes;
  for (std::size_t i = 0; i < spec.nodes.size(); ++i) {
    nodes.push_back(spec.nodes[i]);
    const std::string name = spec.nodes[i].name;
    if (nodes.back().layer == kQuantize || !signed_numbers.contains(name) || !read_as_levels.contains(name)) continue;
    std::string quantized = name + "." + kQuantize;
    while (!names.insert(quantized).second) quantized += "_";
    for (std::size_t reader = i + 1; reader < spec.nodes.size(); ++reader)
      std::ranges::replace(spec.nodes[reader].inputs, name, quantized);
    nodes.push_back({quantized, kQuantize, {name}});
  }
  spec.nodes = std::move(nodes);
}

}  // namespace bsq
