#include "tools/scheme/what_if.h"

#include "engine/base/text.h"
#include "engine/methods/packed_model.h"

#include <fmt/format.h>

#include <algorithm>

namespace bsq {
namespace {

using nlohmann::ordered_json;

std::uint64_t file_bytes_of(const OpenModel& model) {
  const TensorFile file = with_weights(model, *model.weights);
  if (!model.weights->is_quantized()) return safetensors_bytes(file);
  return safetensors_bytes(pack(file, integer_weights(*model.weights, model.layout)));
}

std::string count_text(double count) {
  return with_thousands(static_cast<std::uint64_t>(count));
}

std::string bits_text(int bits, bool fixed) {
  return fmt::format("{}{}", bits == kFloatBits ? "float" : std::to_string(bits), fixed ? " fixed" : "");
}

std::string rise_text(const std::optional<double>& rise) {
  return rise ? fmt::format("{:+.5f}", *rise) : "";
}

ordered_json cost_json(const ModelCost& cost) {
  const BitSummary& summary = cost.summary;
  return {{"bits_per_parameter", summary.bits_per_parameter()},
          {"stored_bits_per_parameter", summary.stored_bits_per_parameter()},
          {"compression", summary.compression()},
          {"compression_everything", summary.compression_on_disk()},
          {"file_bytes", cost.file_bytes},
          {"bops", cost.bops(true)},
          {"bops_without_signs", cost.bops(false)}};
}

ordered_json number_or_null(const std::optional<double>& number) {
  return number ? ordered_json(*number) : ordered_json(nullptr);
}

}  // namespace

ModelCost cost_of(const OpenModel& model) {
  BitSummary summary = summarize_bits(*model.weights, model.network);
  std::vector<LayerCost> layers = layer_costs(summary, model.network);
  return {.summary = std::move(summary), .layers = std::move(layers), .file_bytes = file_bytes_of(model)};
}

WhatIf what_if(const OpenModel& before, const OpenModel& after, const Sensitivity* sensitivity) {
  WhatIf what{.before = cost_of(before), .after = cost_of(after), .rises = {}, .loss = {}, .unmeasured = {}};
  what.rises.resize(what.after.layers.size());
  if (sensitivity == nullptr) return what;
  what.loss = sensitivity->loss;
  const std::vector<SchemeLayer> layers = scheme_layers(after);
  for (std::size_t i = 0; i < what.rises.size(); ++i) {
    const std::string& name = what.after.layers[i].name;
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      if (layers[layer].name != name) continue;
      what.rises[i] = sensitivity->layers[layer].rise(layers[layer].start);
      if (!what.rises[i]) what.unmeasured.push_back(name);
    }
  }
  return what;
}

std::optional<double> WhatIf::rise() const {
  if (!loss) return std::nullopt;
  double sum = 0;
  for (const std::optional<double>& one : rises) sum += one.value_or(0);
  return sum;
}

Table layer_table(const WhatIf& what) {
  Table table({{"layer", Align::left},
               {"weights"},
               {"multiply-adds"},
               {"inputs"},
               {"bits"},
               {"then"},
               {"BOPs"},
               {"then"},
               {"loss"}});
  for (std::size_t i = 0; i < what.after.layers.size(); ++i) {
    const LayerCost &before = what.before.layers[i], &after = what.after.layers[i];
    table.add_row({after.name, count_text(static_cast<double>(after.weights)), count_text(after.macs),
                   bits_text(after.input_bits, false), bits_text(before.bits, before.fixed),
                   bits_text(after.bits, after.fixed), count_text(before.bops(true)), count_text(after.bops(true)),
                   rise_text(what.rises[i])});
  }
  return table;
}

Table size_table(const WhatIf& what) {
  const ModelCost &before = what.before, &after = what.after;
  Table table({{"in all", Align::left}, {"now"}, {"then"}, {"what is counted", Align::left}});
  const auto add = [&](const char* name, auto text, const char* counted) {
    table.add_row({name, text(before), text(after), counted});
  };
  add(
      "published bits", [](const ModelCost& cost) { return fmt::format("{:.3f}", cost.summary.bits_per_parameter()); },
      "per quantized weight, without signs and scales; an empty layer as 1 bit");
  add(
      "stored bits",
      [](const ModelCost& cost) { return fmt::format("{:.3f}", cost.summary.stored_bits_per_parameter()); },
      "per quantized weight, with signs and scales, of an empty layer its scale alone");
  add(
      "file", [](const ModelCost& cost) { return with_thousands(cost.file_bytes); },
      "bytes of the whole model, by bsq export --format packed (float if it has no bits)");
  add(
      "BOPs", [](const ModelCost& cost) { return count_text(cost.bops(true)); },
      "of one image: multiply-adds x bits of a weight, its sign too, x bits of inputs");
  add(
      "BOPs, no signs", [](const ModelCost& cost) { return count_text(cost.bops(false)); }, "likewise, without signs");
  if (const std::optional<double> rise = what.rise())
    table.add_row({"loss", fmt::format("{:.5f}", *what.loss), fmt::format("{:.5f}", *what.loss + *rise),
                   what.unmeasured.empty() ? "predicted: the measured rises of all layers, summed up"
                                           : "predicted, without the layers that were not measured so wide"});
  return table;
}

ordered_json to_json(const WhatIf& what) {
  ordered_json layers = ordered_json::array();
  for (std::size_t i = 0; i < what.after.layers.size(); ++i) {
    const LayerCost &before = what.before.layers[i], &after = what.after.layers[i];
    layers.push_back({{"name", after.name},
                      {"weights", after.weights},
                      {"multiply_adds", after.macs},
                      {"input_bits", after.input_bits},
                      {"bits_before", before.bits},
                      {"bits_after", after.bits},
                      {"fixed", after.fixed},
                      {"bops_before", before.bops(true)},
                      {"bops_after", after.bops(true)},
                      {"loss_rise", number_or_null(what.rises[i])}});
  }
  return {{"before", cost_json(what.before)},  {"after", cost_json(what.after)},
          {"loss", number_or_null(what.loss)}, {"predicted_rise", number_or_null(what.rise())},
          {"unmeasured", what.unmeasured},     {"layers", std::move(layers)}};
}

}  // namespace bsq
