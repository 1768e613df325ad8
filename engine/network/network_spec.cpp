// Specs to and from JSON, and the options of a node.
#include "engine/network/network_spec.h"

#include "engine/files/json.h"
#include "engine/base/suggest.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <set>

namespace bsq {
namespace {

using nlohmann::ordered_json;

constexpr int kMostPixels = 1 << 16;
const std::vector<std::string> kWidthOptions = {"weight_bits", "max_bits", "fixed", "act_bits"};

/// Whether a text can be a name: names become those of tensors and of entries in lists that files keep.
bool is_name(const std::string& text) {
  constexpr std::string_view kOthers = "._-";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

constexpr const char* kNameRule = "must be a name of letters, digits, and the signs . _ -";

const std::string* name_in(const ordered_json& value) {
  const auto* text = value.get_ptr<const std::string*>();
  return text != nullptr && is_name(*text) ? text : nullptr;
}

bool is_plain(const ordered_json& value) {
  return value.is_boolean() || value.is_number() || value.is_string();
}

std::vector<std::string> inputs_in(const ordered_json& value, int number, const std::string& node) {
  std::vector<std::string> inputs;
  if (value.is_array())
    for (const ordered_json& input : value)
      if (const std::string* name = name_in(input)) inputs.push_back(*name);
  if (inputs.empty() || inputs.size() != value.size())
    throw SpecError(number, node, "inputs", "must be a list of names, such as [image]");
  return inputs;
}

NodeSpec node_from_json(const ordered_json& json, int number, const std::string& before) {
  if (!json.is_object()) throw SpecError(number, "", "must be a map with name, layer and the options of the layer");
  const auto text = [&](const char* key) {
    const std::string* found = json.contains(key) ? name_in(json[key]) : nullptr;
    if (found == nullptr) throw SpecError(number, key, json.contains(key) ? kNameRule : "is missing");
    return *found;
  };
  NodeSpec node{.name = text("name"), .layer = text("layer"), .inputs = {before}};
  for (const auto& [key, value] : json.items()) {
    if (key == "name" || key == "layer") continue;
    if (key == "inputs")
      node.inputs = inputs_in(value, number, node.name);
    else if (is_plain(value))
      node.options[key] = value;
    else
      throw SpecError(number, node.name, key, "must be a number, true, false or a word");
  }
  return node;
}

Shape image_from_json(const ordered_json& json) {
  Shape image;
  if (!json.is_array() || json.size() != 3)
    throw SpecError(-1, "image", "must be [height, width, channels], of 3 channels or 1");
  for (const ordered_json& size : json) {
    const bool fits = size.is_number_integer() && size >= 1 && size <= kMostPixels;
    if (!fits) throw SpecError(-1, "image", "must be [height, width, channels], of 3 channels or 1");
    image.dims[static_cast<std::size_t>(image.rank++)] = size.get<int>();
  }
  if (image[2] != 3 && image[2] != 1)
    throw SpecError(-1, "image", "must be [height, width, channels], of 3 channels or 1");
  return image;
}

std::string message_of(const std::string& node, const std::string& key, const std::string& what) {
  if (node.empty()) return key.empty() ? what : fmt::format("key '{}': {}", key, what);
  return key.empty() ? fmt::format("{}: {}", node, what) : fmt::format("{}, key '{}': {}", node, key, what);
}

}  // namespace

bool has_configured_activation(const NetworkSpec& spec) {
  return std::any_of(spec.nodes.begin(), spec.nodes.end(), [](const NodeSpec& node) {
    for (const char* key : {"activation", "kind"})
      if (const auto said = node.options.find(key); said != node.options.end() && said->is_string())
        return said->get<std::string>().starts_with("configured");
    const bool has_activation = node.layer == "norm_act" || node.layer == "bias_act" || node.layer == "activation";
    return has_activation && node.options.value("quantized", false);
  });
}

bool is_width_option(const std::string& key) {
  return std::find(kWidthOptions.begin(), kWidthOptions.end(), key) != kWidthOptions.end();
}

SpecError::SpecError(int node, const std::string& key, const std::string& what)
    : Error(ErrorKind::usage, message_of(node < 0 ? "" : fmt::format("node {}", node + 1), key, what)),
      node_(node),
      key_(key),
      problem_(what) {}

SpecError::SpecError(int node, const std::string& name, const std::string& key, const std::string& what)
    : Error(ErrorKind::usage, message_of(fmt::format("node '{}'", name), key, what)),
      node_(node),
      key_(key),
      problem_(what) {}

ordered_json to_json(const NetworkSpec& spec) {
  ordered_json nodes = ordered_json::array();
  std::string before = kImage;
  for (const NodeSpec& node : spec.nodes) {
    nodes.push_back({{"name", node.name}, {"layer", node.layer}});
    if (node.inputs != std::vector{before}) nodes.back()["inputs"] = node.inputs;
    nodes.back().update(node.options);
    before = node.name;
  }
  ordered_json json = {{"name", spec.name}};
  if (!spec.settings.empty()) json["settings"] = spec.settings;
  if (spec.image.rank == 3) json["image"] = {spec.image[0], spec.image[1], spec.image[2]};
  json["nodes"] = std::move(nodes);
  return json;
}

NetworkSpec spec_from_json(const ordered_json& json) {
  if (!json.is_object()) throw SpecError(-1, "", "must be a map with name, image and nodes");
  NetworkSpec spec;
  for (const auto& [key, value] : json.items()) {
    if (key == "nodes") continue;
    if (key == "name") {
      if (name_in(value) == nullptr) throw SpecError(-1, key, kNameRule);
      spec.name = *name_in(value);
    } else if (key == "settings") {
      if (!value.is_object() || !std::all_of(value.begin(), value.end(), is_plain))
        throw SpecError(-1, key, "must be a map of numbers and words");
      spec.settings = value;
    } else if (key == "image") {
      spec.image = image_from_json(value);
    } else {
      const std::vector<std::string> keys = {"name", "settings", "image", "nodes"};
      throw SpecError(-1, key, "is unknown" + did_you_mean(key, keys));
    }
  }
  if (!json.contains("nodes") || !json["nodes"].is_array() || json["nodes"].empty())
    throw SpecError(-1, "nodes", "must be a list of nodes");
  std::set<std::string> names = {kImage};
  std::string before = kImage;
  for (const ordered_json& entry : json["nodes"]) {
    const int number = static_cast<int>(spec.nodes.size());
    spec.nodes.push_back(node_from_json(entry, number, before));
    before = spec.nodes.back().name;
    if (!names.insert(before).second)
      throw SpecError(number, "name",
                      fmt::format("'{}' is {}", before, before == kImage ? "the network's input" : "there twice"));
  }
  return spec;
}

NetworkSpec spec_from_text(const std::string& text) {
  constexpr int kMaxDepth = 6000;  // what is nested in a node's options is said with its node; this much fits the stack
  const ordered_json json = parse_json_or_discard<ordered_json>(text, kMaxDepth);
  if (json.is_discarded()) throw SpecError(-1, "", "is no JSON");
  return spec_from_json(json);
}

const ordered_json* NodeOptions::find(const std::string& key) {
  asked_.push_back(key);
  const auto found = node_.options.find(key);
  return found == node_.options.end() ? nullptr : &*found;
}

void NodeOptions::refuse(const std::string& key, const std::string& what) const {
  throw SpecError(number_, node_.name, key, what);
}

int NodeOptions::integer(const std::string& key, int least, int most, std::optional<int> otherwise) {
  const ordered_json* value = find(key);
  const std::string rule = fmt::format("must be an integer in {}..{}", least, most);
  if (value == nullptr && !otherwise) refuse(key, "is missing; it " + rule);
  if (value == nullptr) return *otherwise;
  if (!value->is_number_integer() || *value < least || *value > most) refuse(key, rule);
  return value->get<int>();
}

double NodeOptions::number(const std::string& key, double least, double most, std::optional<double> otherwise) {
  const ordered_json* value = find(key);
  const std::string rule = fmt::format("must be a number in {}..{}", least, most);
  if (value == nullptr && !otherwise) refuse(key, "is missing; it " + rule);
  if (value == nullptr) return *otherwise;
  const double number = value->is_number() ? value->get<double>() : std::numeric_limits<double>::quiet_NaN();
  if (!(number >= least && number <= most)) refuse(key, rule);
  return number;
}

bool NodeOptions::flag(const std::string& key, bool otherwise) {
  const ordered_json* value = find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) refuse(key, "must be true or false");
  return value->get<bool>();
}

std::string NodeOptions::one_of(const std::string& key, const std::vector<std::string>& words,
                                const std::string& otherwise) {
  const ordered_json* value = find(key);
  if (value == nullptr) return otherwise;
  const std::string text = value->is_string() ? value->get<std::string>() : "";
  if (std::find(words.begin(), words.end(), text) == words.end())
    refuse(key, fmt::format("must be one of {}{}", fmt::join(words, ", "), did_you_mean(text, words)));
  return text;
}

std::string NodeOptions::name(const std::string& key, const std::string& otherwise) {
  const ordered_json* value = find(key);
  if (value == nullptr) return otherwise;
  if (name_in(*value) == nullptr) refuse(key, kNameRule);
  return *name_in(*value);
}

void NodeOptions::finish() const {
  for (const auto& [key, value] : node_.options.items()) {
    if (is_width_option(key) || std::find(asked_.begin(), asked_.end(), key) != asked_.end()) continue;
    const std::string which = asked_.empty() ? "it has none" : fmt::format("it has {}", fmt::join(asked_, ", "));
    std::vector<std::string> known = asked_;
    known.insert(known.end(), kWidthOptions.begin(), kWidthOptions.end());
    refuse(key, fmt::format("is no option of {}, {}{}", node_.layer, which, did_you_mean(key, known)));
  }
}

}  // namespace bsq
