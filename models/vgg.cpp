#include "models/vgg.h"

#include "models/spec_builder.h"

#include <fmt/ranges.h>

#include <array>
#include <map>

namespace bsq {
namespace {

constexpr std::array kWidths = {64, 128, 256, 512, 512};

/// Convolutions of each stage, by depth.
const std::map<int, std::array<int, kWidths.size()>>& stages_by_depth() {
  static const std::map<int, std::array<int, kWidths.size()>> table = {
      {11, {1, 1, 2, 2, 2}}, {13, {2, 2, 2, 2, 2}}, {16, {2, 2, 3, 3, 3}}, {19, {2, 2, 4, 4, 4}}};
  return table;
}

void check_vgg(const Config& config, std::vector<Conflict>& conflicts) {
  const bool is_vgg = config.model.arch == "vgg" || config.model.arch == "vgg_bn";
  if (!is_vgg || stages_by_depth().count(config.family<int>("depth")) > 0) return;
  conflicts.push_back(
      {{"model.depth"}, fmt::format("model.depth = {}; must be 11, 13, 16 or 19", config.family<int>("depth"))});
}

std::vector<FamilyKey> keys_of(int depth) {
  return {{"depth", depth, between(11, 19), "layers with weights: 11, 13, 16 or 19"}};
}

NetworkSpec make_vgg(int depth, bool has_norms, const Shape& image, int classes) {
  SpecBuilder builder(fmt::format("vgg{}{}", depth, has_norms ? "_bn" : ""), {{"depth", depth}}, image);
  std::string x = kImage;
  int place = 0;  // in PyTorch's list of modules
  const auto next = [&] { return fmt::format("features.{}", place++); };
  const std::array<int, kWidths.size()>& stages = stages_by_depth().at(depth);
  for (std::size_t stage = 0; stage < stages.size(); ++stage) {
    for (int i = 0; i < stages[stage]; ++i) {
      const auto activation = place == 0 ? NodeActivation::float_relu : NodeActivation::quantized;
      x = builder.conv(next(), x,
                       {.out = kWidths[stage], .bias = has_norms ? ConvBias::before_norm : ConvBias::quantized});
      const std::string norm = has_norms ? next() : "";
      const std::string relu = next();
      x = has_norms ? builder.norm(norm, {x}, activation, relu) : builder.bias_act(relu, {x}, activation, relu);
    }
    x = builder.add(next(), "max_pool", {x}, {{"kernel", 2}});
  }
  x = builder.add("avgpool", "average_pool", {x});
  builder.classifier("classifier", x, classes,
                     {{"initializer", "normal"}, {"deviation", 0.01}, {"bias_initializer", "zero"}});
  return builder.take();
}

}  // namespace

void add_vgg_keys(ConfigSchema& schema) {
  schema.add_family_keys("vgg", keys_of(16));
  schema.add_check("model", check_vgg);
}

void add_vgg_bn_keys(ConfigSchema& schema) {
  schema.add_family_keys("vgg_bn", keys_of(19));
}

NetworkSpec configured_vgg(const Config& config, const Shape& image, int classes) {
  return make_vgg(config.family<int>("depth"), false, image, classes);
}

NetworkSpec configured_vgg_bn(const Config& config, const Shape& image, int classes) {
  return make_vgg(config.family<int>("depth"), true, image, classes);
}

}  // namespace bsq
