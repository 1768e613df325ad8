// YAML to JSON and back; problems get the line that they are on.
#include "models/network_file.h"

#include "engine/base/text.h"
#include "engine/files/json.h"
#include "engine/config/yaml_reader.h"
#include "engine/files/posix_file.h"
#include "engine/network/layer_fusion.h"
#include "engine/network/layer_kinds.h"
#include "engine/network/quantize_all.h"
#include "kernels/base/error.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// A scalar without quotes is the number, true or false that it looks like, or else a word.
ordered_json scalar_json(const YamlValue& value) {
  if (value.quoted) return value.text;
  if (value.text == "true" || value.text == "false") return value.text == "true";
  const ordered_json number = parse_json_or_discard<ordered_json>(value.text);
  return number.is_number() ? number : ordered_json(value.text);
}

ordered_json json_of(const YamlValue& value) {
  if (value.kind == YamlValue::Kind::scalar) return scalar_json(value);
  if (value.kind == YamlValue::Kind::list) {
    ordered_json list = ordered_json::array();
    for (const YamlValue& item : value.items) list.push_back(json_of(item));
    return list;
  }
  if (value.kind == YamlValue::Kind::nothing) return nullptr;
  ordered_json map = ordered_json::object();
  for (const YamlEntry& entry : value.entries) map[entry.key] = json_of(entry.value);
  return map;
}

const YamlEntry* find(const YamlValue& map, const std::string& key) {
  const auto found =
      std::find_if(map.entries.begin(), map.entries.end(), [&](const YamlEntry& entry) { return entry.key == key; });
  return found == map.entries.end() ? nullptr : &*found;
}

/// The place of the key, or else of its node, or else of the list of nodes.
Position place_of(const SpecError& error, const YamlValue& root) {
  const YamlEntry* nodes = find(root, "nodes");
  if (error.node() < 0 || nodes == nullptr) {
    const YamlEntry* entry = find(root, error.key());
    return entry == nullptr ? Position{} : entry->where;
  }
  const auto number = static_cast<std::size_t>(error.node());
  if (number >= nodes->value.items.size() || nodes->value.items[number].entries.empty()) return nodes->where;
  const YamlValue& node = nodes->value.items[number];
  const YamlEntry* entry = find(node, error.key());
  return entry == nullptr ? node.entries.front().where : entry->where;
}

[[noreturn]] void refuse(const fs::path& file, Position where, const std::string& what) {
  fail(ErrorKind::usage, "{}:{}:{}: {}", file.string(), where.line, where.column, excerpt(what, 2000));
}

std::string read_file(const fs::path& file) {
  constexpr std::int64_t kMostBytes = 1 << 20;
  if (PosixFile::open_regular(file, ErrorKind::usage).size_bytes() > kMostBytes)
    fail(ErrorKind::usage, "{}: too large for a network; expected a YAML file", file.string());
  return read_text_file(file, ErrorKind::usage);
}

/// Whether layers that do not say their role are quantized; the key is taken out.
bool take_quantize(ordered_json& json) {
  if (!json.is_object() || !json.contains("quantize")) return false;
  if (json["quantize"] != "all") throw SpecError(-1, "quantize", "must be all; leave it out if nodes say it");
  json.erase("quantize");
  return true;
}

/// Throws SpecError of a node as written if it cannot be run.
NetworkSpec runnable(const NetworkSpec& written) {
  FusedNetwork fused = fuse_layers(written);
  try {
    build_network(fused.spec);
  } catch (const SpecError& error) {
    throw fused.as_written(error);
  }
  return std::move(fused.spec);
}

/// Flow style. What a YAML reader would take for something else is in quotes.
std::string yaml_of(const ordered_json& value) {
  if (value.is_array()) {
    std::vector<std::string> items;
    for (const ordered_json& item : value) items.push_back(yaml_of(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
  if (!value.is_string()) return value.dump();
  const auto& text = value.get_ref<const std::string&>();
  constexpr std::string_view kReadOtherwise[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
  const bool begins_as_word = !text.empty() && std::isalpha(static_cast<unsigned char>(text[0])) != 0;
  const bool is_plain = std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-';
  });
  const bool is_word =
      std::find(std::begin(kReadOtherwise), std::end(kReadOtherwise), text) == std::end(kReadOtherwise);
  return begins_as_word && is_plain && is_word ? text : value.dump();
}

std::string flow_map(const ordered_json& map) {
  std::vector<std::string> entries;
  for (const auto& [key, value] : map.items()) entries.push_back(fmt::format("{}: {}", key, yaml_of(value)));
  return fmt::format("{{{}}}", fmt::join(entries, ", "));
}

}  // namespace

NetworkSpec read_network_file(const fs::path& file, const Shape& image) {
  const YamlDocument document = read_yaml(read_file(file));
  if (!document.problems.empty()) {
    const Problem& first = *std::min_element(document.problems.begin(), document.problems.end(),
                                             [](const Problem& a, const Problem& b) { return a.where < b.where; });
    refuse(file, first.where, first.what);
  }
  try {
    ordered_json json = json_of(document.root);
    const bool is_all_quantized = take_quantize(json);
    NetworkSpec spec = spec_from_json(json);
    if (!spec.settings.empty()) throw SpecError(-1, "settings", "are those of a family; leave them out");
    if (spec.image.rank == 0) spec.image = image;
    if (spec.name.empty()) spec.name = file.stem().string();
    if (is_all_quantized) quantize_all(spec);
    return runnable(spec);
  } catch (const SpecError& error) {
    refuse(file, place_of(error, document.root), error.what());
  }
}

bool is_network_file(const fs::path& file) {
  return find(read_yaml(read_file(file)).root, "nodes") != nullptr;
}

std::string network_text(const NetworkSpec& spec) {
  const ordered_json json = to_json(spec);
  std::string text;
  for (const auto& [key, value] : json.items())
    if (key != "nodes" && key != "settings") text += fmt::format("{}: {}\n", key, yaml_of(value));
  text += "nodes:\n";
  for (const ordered_json& node : json["nodes"]) text += fmt::format("  - {}\n", flow_map(node));
  return text;
}

}  // namespace bsq
