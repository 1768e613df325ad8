#include "tools/scheme/scheme_layers.h"

#include "engine/base/text.h"
#include "engine/config/config_keys.h"

#include <fmt/format.h>

#include <algorithm>

namespace bsq {
namespace {

/// `layer1.0.conv1` of its weight and of its bias.
std::string node_of(const std::string& parameter) {
  return parameter.substr(0, parameter.rfind('.'));
}

/// Widths of a layer by its weight, or by its bias if the weight stays float.
void set_widths(SchemeLayer& layer, const StoredWeights& weights, const ParameterSpec& spec) {
  layer.bits = layer.bias_bits = weights.bits(layer.slots.front());
  layer.fixed = spec.widths.fixed;
  if (layer.bits == kFloatBits) {
    layer.start = spec.start_bits(kMaxBits);
    layer.widest = layer.fixed ? layer.start : spec.most_bits(kMaxBits);
  } else {
    layer.start = layer.widest = std::max(layer.bits, 1);
  }
}

/// Names of files may have any characters; a comment ends with its line.
std::string in_one_line(std::string text) {
  for (char& letter : text)
    if (static_cast<unsigned char>(letter) < ' ') letter = '?';
  return text;
}

}  // namespace

std::int64_t SchemeLayer::stored_bits(int width) const {
  return stored * (width + 1) - (width == bits ? odd : 0) + static_cast<std::int64_t>(slots.size()) * kFloatBits;
}

std::vector<SchemeLayer> scheme_layers(const OpenModel& model) {
  std::vector<SchemeLayer> layers;
  for (std::size_t slot = 0; slot < model.layout.slots.size(); ++slot) {
    const ParameterSpec& spec = model.layout.slots[slot].spec;
    const std::string name = node_of(spec.name);
    auto layer = std::find_if(layers.begin(), layers.end(), [&](const SchemeLayer& one) { return one.name == name; });
    if (layer == layers.end()) {
      layers.emplace_back().name = name;
      layer = layers.end() - 1;
    }
    layer->slots.insert(spec.role == Role::weight ? layer->slots.begin() : layer->slots.end(), slot);
    const std::int64_t numel = spec.shape.numel();
    layer->weights += numel;
    const TensorCounts counts = model.weights->count(slot);
    if (counts.zeros < numel) layer->stored += numel;
    if (counts.is_odd) layer->odd += numel;
  }
  for (SchemeLayer& layer : layers) {
    set_widths(layer, *model.weights, model.layout.slots[layer.slots.front()].spec);
    layer.bias_bits = model.weights->bits(layer.slots.back());
  }
  return layers;
}

std::int64_t weights_of(const std::vector<SchemeLayer>& layers) {
  std::int64_t weights = 0;
  for (const SchemeLayer& layer : layers) weights += layer.weights;
  return weights;
}

std::string scheme_text(const std::vector<std::string>& heading, const std::vector<SchemeLine>& lines) {
  std::string text;
  for (const std::string& line : heading) text += fmt::format("# {}\n", in_one_line(line));
  std::vector<std::string> rules;
  std::size_t width = 0;
  for (const SchemeLine& line : lines) {
    const LayerRule rule{.pattern = line.layer, .weight_bits = line.bits, .fixed = line.fixed};
    const std::string braced = to_text(ConfigValue(LayerRules{{rule}}));  // {conv1: {weight_bits: 8, fixed: false}}
    rules.push_back(braced.substr(1, braced.size() - 2));
    width = std::max(width, rules.back().size());
  }
  for (std::size_t i = 0; i < lines.size(); ++i)
    text +=
        lines[i].comment.empty() ? rules[i] + "\n" : fmt::format("{:<{}}  # {}\n", rules[i], width, lines[i].comment);
  return text;
}

std::string cost_text(const SchemeLayer& layer, int width) {
  return fmt::format("{} weights, {} stored bits", with_thousands(static_cast<std::uint64_t>(layer.weights)),
                     with_thousands(static_cast<std::uint64_t>(layer.stored_bits(width))));
}

}  // namespace bsq
