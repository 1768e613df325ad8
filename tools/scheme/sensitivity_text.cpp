#include "tools/scheme/sensitivity_text.h"

#include "engine/base/text.h"
#include "engine/files/json.h"
#include "engine/files/posix_file.h"
#include "kernels/base/error.h"
#include "tools/report/charts/heat_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace bsq {
namespace {

using nlohmann::ordered_json;

constexpr std::int64_t kMostWeights = std::int64_t{1} << 40;

int most_width(const Sensitivity& sensitivity) {
  int most = 1;
  for (const LayerSensitivity& layer : sensitivity.layers)
    if (!layer.rises.empty()) most = std::max(most, layer.rises.rbegin()->first);
  return most;
}

std::string bits_text(const LayerSensitivity& layer) {
  return fmt::format("{}{}", layer.bits == kFloatBits ? "float" : std::to_string(layer.bits),
                     layer.fixed ? " fixed" : "");
}

/// Four digits behind the point of what is large, an exponent for what is small.
std::string rise_text(double rise) {
  return std::abs(rise) >= 1e-4 || rise == 0 ? fmt::format("{:.4f}", rise) : fmt::format("{:.0e}", rise);
}

/// Trace, standard error and mean trace.
void add_hessian(const LayerSensitivity& layer, std::vector<std::string>& cells) {
  if (!layer.hessian) {
    cells.resize(cells.size() + 3);
    return;
  }
  const HessianTrace& hessian = *layer.hessian;
  cells.push_back(fmt::format("{:.4g}", hessian.trace));
  cells.push_back(hessian.error ? fmt::format("{:.2g}", *hessian.error) : "");
  cells.push_back(fmt::format("{:.3g}", hessian.trace / static_cast<double>(hessian.weights)));
}

/// Of a line of CSV; empty cells if the layer has no trace.
std::string hessian_cells(const LayerSensitivity& layer, int width) {
  if (!layer.hessian) return ",,,";
  const HessianTrace& hessian = *layer.hessian;
  return fmt::format(",{},{},{}", hessian.trace, hessian.error ? fmt::format("{}", *hessian.error) : "",
                     hessian.predicted_rises.at(width));
}

/// Rises by width, 1..8.
std::map<int, double> rises_from_json(const nlohmann::json& json, const std::string& what, const std::string& layer) {
  std::map<int, double> rises;
  for (const auto& [width, rise] : json.items()) {
    const bool is_width = width.size() == 1 && width[0] >= '1' && width[0] <= '0' + kMaxBits;
    if (!is_width || !rise.is_number() || !std::isfinite(rise.get<double>()))
      throw JsonError(fmt::format("{} of {} is no map of widths 1..{} to numbers", what, layer, kMaxBits));
    rises[width[0] - '0'] = rise.get<double>();
  }
  return rises;
}

ordered_json rises_to_json(const std::map<int, double>& rises) {
  ordered_json json = ordered_json::object();
  for (auto width = rises.rbegin(); width != rises.rend(); ++width) json[std::to_string(width->first)] = width->second;
  return json;
}

HessianTrace hessian_from_json(const nlohmann::json& json, const LayerSensitivity& layer) {
  HessianTrace hessian{.weights = json_count<std::int64_t>(json.at("weights"), layer.weights),
                       .trace = json.at("trace").get<double>(),
                       .predicted_rises = rises_from_json(json.at("predicted_rise"), "predicted_rise", layer.name)};
  if (!json.at("error").is_null()) hessian.error = json_measure(json.at("error"));
  if (hessian.weights == 0) throw JsonError(fmt::format("hessian of {} has no weights", layer.name));
  if (!std::equal(hessian.predicted_rises.begin(), hessian.predicted_rises.end(), layer.rises.begin(),
                  layer.rises.end(), [](const auto& a, const auto& b) { return a.first == b.first; }))
    throw JsonError(fmt::format("predicted_rise of {} has other widths than loss_rise", layer.name));
  return hessian;
}

ordered_json hessian_to_json(const HessianTrace& hessian) {
  return {{"weights", hessian.weights},
          {"trace", hessian.trace},
          {"error", hessian.error ? ordered_json(*hessian.error) : ordered_json(nullptr)},
          {"predicted_rise", rises_to_json(hessian.predicted_rises)}};
}

LayerSensitivity layer_from_json(const nlohmann::json& json) {
  LayerSensitivity layer{.name = json.at("name").get<std::string>(),
                         .weights = json_count<std::int64_t>(json.at("weights"), kMostWeights),
                         .bits = json_count(json.at("bits"), kFloatBits),
                         .fixed = json.at("fixed").get<bool>()};
  if (layer.name.empty() || layer.weights == 0) throw JsonError("a layer has no name or no weights");
  layer.rises = rises_from_json(json.at("loss_rise"), "loss_rise", layer.name);
  // Whoever looks for widths must find them all down to 1.
  const int most = static_cast<int>(layer.rises.size());
  if (!layer.rises.empty() && layer.rises.rbegin()->first != most)
    throw JsonError(fmt::format("loss_rise of {} lacks a width below {}", layer.name, layer.rises.rbegin()->first));
  if (layer.bits == kFloatBits ? most == 0 : most != std::max(layer.bits, 1) - 1)
    throw JsonError(
        fmt::format("loss_rise of {} has {} widths, which do not belong to {} bits", layer.name, most, layer.bits));
  if (json.contains("hessian")) layer.hessian = hessian_from_json(json.at("hessian"), layer);
  return layer;
}

}  // namespace

Table sensitivity_table(const Sensitivity& sensitivity) {
  std::vector<Column> columns = {{"layer", Align::left}, {"weights"}, {"bits"}};
  const int most = most_width(sensitivity);
  for (int width = most; width >= 1; --width)
    columns.push_back({width == most ? fmt::format("rise at {}", width) : std::to_string(width)});
  if (sensitivity.probes > 0) {
    columns.push_back({"trace of H"});
    columns.push_back({"+-"});
    columns.push_back({"per weight"});
  }
  Table table(std::move(columns));
  for (const LayerSensitivity& layer : sensitivity.layers) {
    std::vector<std::string> cells = {layer.name, with_thousands(static_cast<std::uint64_t>(layer.weights)),
                                      bits_text(layer)};
    for (int width = most; width >= 1; --width) {
      const auto found = layer.rises.find(width);
      cells.push_back(found == layer.rises.end() ? "" : rise_text(found->second));
    }
    if (sensitivity.probes > 0) add_hessian(layer, cells);
    table.add_row(std::move(cells));
  }
  return table;
}

std::string sensitivity_csv(const Sensitivity& sensitivity) {
  const bool has_hessian = sensitivity.probes > 0;
  std::string text = "layer,weights,layer_bits,fixed,bits,loss_rise";
  text += has_hessian ? ",hessian_trace,hessian_error,predicted_rise\n" : "\n";
  for (const LayerSensitivity& layer : sensitivity.layers)
    for (auto width = layer.rises.rbegin(); width != layer.rises.rend(); ++width) {
      text += fmt::format("{},{},{},{},{},{}", layer.name, layer.weights, layer.bits, layer.fixed ? 1 : 0, width->first,
                          width->second);
      if (has_hessian) text += hessian_cells(layer, width->first);
      text += '\n';
    }
  return text;
}

charts::Svg sensitivity_figure(const Sensitivity& sensitivity) {
  constexpr double kFaintest = -4, kStrongest = 1;  // powers of ten
  charts::HeatMap map{
      .text = {"sensitivity", "Rise of the loss, one layer at a time",
               fmt::format("How much the mean loss of {} {} images, {:.4f}, rises if one layer has so "
                           "few bits and all others stay as they are.",
                           sensitivity.images, sensitivity.set, sensitivity.loss)},
      .x_title = "bits of the layer",
      .range = charts::range_of(kFaintest, kStrongest),
      .legend = {{-4, "0.0001 or less"}, {-3, "0.001"}, {-2, "0.01"}, {-1, "0.1"}, {0, "1"}, {1, "10"}}};
  const int most = most_width(sensitivity);
  for (int width = most; width >= 1; --width) map.columns.push_back(std::to_string(width));
  for (const LayerSensitivity& layer : sensitivity.layers) {
    map.rows.push_back(layer.name);
    std::vector<charts::HeatCell>& cells = map.cells.emplace_back();
    for (int width = most; width >= 1; --width) {
      const auto found = layer.rises.find(width);
      charts::HeatCell& cell = cells.emplace_back();
      cell.value = std::numeric_limits<double>::quiet_NaN();
      if (found == layer.rises.end()) continue;
      cell.value = std::clamp(std::log10(std::max(found->second, 1e-30)), kFaintest, kStrongest);
      cell.text = rise_text(found->second);
      cell.tooltip = fmt::format("{} at {} bits: {:+.6f}", layer.name, width, found->second);
    }
  }
  return draw(map);
}

std::string to_json_text(const Sensitivity& sensitivity) {
  ordered_json layers = ordered_json::array();
  for (const LayerSensitivity& layer : sensitivity.layers) {
    layers.push_back({{"name", layer.name},
                      {"weights", layer.weights},
                      {"bits", layer.bits},
                      {"fixed", layer.fixed},
                      {"loss_rise", rises_to_json(layer.rises)}});
    if (layer.hessian) layers.back()["hessian"] = hessian_to_json(*layer.hessian);
  }
  ordered_json json = {{"file", sensitivity.model},
                       {"network", sensitivity.network},
                       {"set", sensitivity.set},
                       {"images", sensitivity.images},
                       {"eval_batch_size", sensitivity.batch_size},
                       {"precision", sensitivity.precision},
                       {"act_bits", sensitivity.act_bits},
                       {"loss", sensitivity.loss},
                       {"layers", std::move(layers)}};
  if (sensitivity.probes > 0) json["hessian_probes"] = sensitivity.probes;
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Sensitivity read_sensitivity(const std::filesystem::path& file) {
  constexpr std::int64_t kMostBytes = 1 << 24;  // some 300 bytes a layer
  if (PosixFile::open_regular(file, ErrorKind::usage).size_bytes() > kMostBytes)
    fail(ErrorKind::usage, "{}: too large for what bsq sensitivity --json prints", file.string());
  try {
    const nlohmann::json json = parse_json(read_text_file(file, ErrorKind::usage));
    Sensitivity result{.model = json.at("file").get<std::string>(),
                       .network = json.at("network").get<std::string>(),
                       .set = json.at("set").get<std::string>(),
                       .images = json_count<std::int64_t>(json.at("images")),
                       .batch_size = json_count(json.at("eval_batch_size")),
                       .precision = json.at("precision").get<std::string>(),
                       .act_bits = json_count(json.at("act_bits"), kFloatBits),
                       .loss = json_measure(json.at("loss"))};
    if (json.contains("hessian_probes")) result.probes = json_count(json.at("hessian_probes"));
    std::set<std::string> names;
    for (const nlohmann::json& layer : json.at("layers")) {
      result.layers.push_back(layer_from_json(layer));
      if (!names.insert(result.layers.back().name).second)
        throw JsonError(fmt::format("{} is there twice", result.layers.back().name));
    }
    return result;
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::usage, "{}: is not what bsq sensitivity --json prints ({}); measure again", file.string(),
         excerpt(error.what()));
  }
}

}  // namespace bsq
