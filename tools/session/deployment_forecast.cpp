#include "tools/session/deployment_forecast.h"

#include "data/datasets.h"
#include "engine/deployed/deploy.h"
#include "engine/network/layer_kinds.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/linear.h"
#include "kernels/base/error.h"
#include "models/families.h"
#include "tools/session/open_model.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace bsq {
namespace {

constexpr int kMostWeightBits = 7;  // of INT8 with a sign
// u8 x s8 pairs are summed in 16 bits, which saturate, where a processor has no VNNI instructions:
// 2 (2^n - 1)(2^k - 1) <= 32767.
constexpr int kMostBitsTogether = 14;

/// The network for the size of images that is known without opening data; elsewhere that of CIFAR, since the size does
/// not change what is asked here.
Network network_of(const Config& config) {
  const DatasetInfo images = known_images(config).value_or(DatasetInfo{
      .height = 32, .width = 32, .class_names = std::vector<std::string>(10), .channels = config.data.channels});
  Quantizer quantizer = quantizer_of(config);
  quantizer.static_scales = true;
  return build_network(configured_network(config, images.image(), images.num_classes()), quantizer);
}

ParameterId filter_of(const Node& product) {
  if (const auto* linear = dynamic_cast<const Linear*>(product.layer.get())) return linear->weight();
  return dynamic_cast<const Conv2d&>(*product.layer).weight();
}

struct FilterCounts {
  int wide = 0;   // more bits than integers with a sign have
  int plain = 0;  // float
  int most_bits = 0;
};

FilterCounts count_filters(const Network& network, const DeploymentPlan& plan, const Config& config) {
  FilterCounts counts;
  for (const PlannedLevels& planned : plan.levels) {
    if (planned.product < 0) continue;
    const Node& node = network.nodes()[static_cast<std::size_t>(planned.product)];
    const ParameterSpec& filter = network.parameters()[static_cast<std::size_t>(filter_of(node))];
    const int bits = filter.group == ParameterGroup::plain ? kMostWeightBits : filter.most_bits(config.quant.max_bits);
    counts.plain += filter.group == ParameterGroup::plain;
    counts.wide += bits > kMostWeightBits;
    counts.most_bits = std::max(counts.most_bits, std::min(bits, kMostWeightBits));
  }
  return counts;
}

const char* plural(int count, const char* one, const char* many) {
  return count == 1 ? one : many;
}

/// The picture as the network reads it.
bool has_exact_pixels(const Config& config) {
  InputOptions input;
  input.mean.assign(config.data.mean.begin(), config.data.mean.end());
  input.std.assign(config.data.std.begin(), config.data.std.end());
  return is_exact(input, picture_grid(input));
}

/// The same number for every channel of the pictures.
std::string of_channels(const std::string& number, const Config& config) {
  const std::vector<std::string> numbers(config.data.mean.size(), number);
  return fmt::format("{}", fmt::join(numbers, ","));
}

std::vector<std::string> what_differs(const Config& config, const Network& network, const DeploymentPlan& plan) {
  std::vector<std::string> differs;
  const FilterCounts filters = count_filters(network, plan, config);
  if (filters.wide > 0)
    differs.push_back(
        fmt::format("{} {} may keep 8 bits, of which 7 fit beside the sign, and {} rounded: "
                    "quant.weight_bits=7 quant.max_bits=7 trains what runs",
                    filters.wide, plural(filters.wide, "layer", "layers"), plural(filters.wide, "is", "are")));
  if (filters.plain > 0 && !config.quant.deployed)  // which puts them there
    differs.push_back(fmt::format("the float weights of {} {} are rounded to 127 levels a side", filters.plain,
                                  plural(filters.plain, "layer", "layers")));
  if (!has_exact_pixels(config))
    differs.push_back(
        fmt::format("pixels are rounded to 256 levels of one unit: data.mean=[{}] data.std=[{}] (128/255 and 64/255) "
                    "makes the bytes themselves exact",
                    of_channels("0.50196078", config), of_channels("0.25098039", config)));
  if (config.quant.act_bits + filters.most_bits > kMostBitsTogether)
    differs.push_back(fmt::format(
        "weights of {} and activations of {} bits: onnxruntime and OpenVINO saturate sums on processors without VNNI; "
        "together {} bits are exact on all, and bsq predict and C always are",
        filters.most_bits, config.quant.act_bits, kMostBitsTogether));
  return differs;
}

}  // namespace

std::vector<std::string> deployment_forecast(const Config& config) {
  const std::vector<StageChoice>& known = config.schema().stages();
  const bool quantizes = std::ranges::any_of(
      known, [&](const StageChoice& stage) { return stage.widths != StageWidths::none && config.runs(stage.name); });
  if (!quantizes) return {};
  if (config.quant.act_bits == 0) return {"no integer form: activations are not quantized (quant.act_bits: 0)"};
  const Network network = network_of(config);
  const DeploymentPlan plan = plan_deployment(network);
  if (!plan.obstacle.empty()) return {"no integer form: " + plan.obstacle};
  std::string first = "runs in integers";
  if (config.quant.act_scale != "calibrated" && config.quant.activation != "lsq")
    first += " once its activations are calibrated (quant.act_scale=calibrated)";
  else
    first += config.quant.deployed ? ", as it is trained" : "; quant.deployed=true trains in their arithmetic";
  std::vector<std::string> lines = {first};
  const std::vector<std::string> differs = what_differs(config, network, plan);
  lines.insert(lines.end(), differs.begin(), differs.end());
  return lines;
}

std::vector<std::string> deployment_warnings(const Config& config) {
  if (!config.quant.deployed) return {};
  std::vector<std::string> lines = deployment_forecast(config);
  if (!lines.empty()) lines.erase(lines.begin());
  for (std::string& line : lines) line = "quant.deployed: " + line;
  return lines;
}

}  // namespace bsq
