// The families of networks: sizes and cost as measured on the published classes, what is in bit planes, and what is
// refused.
#include "models/families.h"

#include "engine/config/config_checks.h"
#include "engine/network/layer_kinds.h"
#include "tests/support/catch.h"
#include "tests/support/config.h"

#include <cmath>
#include <map>

namespace bsq::test {
namespace {

using Settings = std::map<std::string, ConfigValue>;
const ConfigValue kBottleneck = std::string("bottleneck"), kBasic = std::string("basic");

Config config_of(const std::string& arch, const Settings& settings) {
  Config config = default_config();
  config.model.arch = arch;
  for (const auto& [key, value] : settings) config.set_family(key, value);
  return config;
}

struct Family {
  std::string arch;
  Settings settings;
  std::int64_t parameters;
  std::int64_t quantized;  // weights and biases in bit planes
  double mmac;             // of one image, in millions
  int classes = 10;
  int image = 32;
};

const std::vector<Family>& families() {
  static const std::vector<Family> table = {
      {"alexnet", {}, 2472266, 2472266, 15},
      {"alexnet", {}, 2495396, 2495396, 15, 100},
      {"vgg", {{"depth", 11}}, 9225610, 9225610, 153},
      {"vgg", {{"depth", 13}}, 9410122, 9410122, 228},
      {"vgg", {{"depth", 16}}, 14719818, 14719818, 313},
      {"vgg", {{"depth", 19}}, 20029514, 20029514, 398},
      {"vgg", {{"depth", 19}}, 20029514 + 46170, 20029514 + 46170, 398, 100},
      {"vgg_bn", {{"depth", 11}}, 9231114, 9222858, 153},
      {"vgg_bn", {{"depth", 19}}, 20040522, 20024010, 398},
      {"resnet", {{"depth", 20}}, 272474, 268346, 41},
      {"resnet", {{"depth", 56}}, 855770, 848954, 126},
      {"resnet", {{"depth", 110}}, 1730714, 1719866, 253},
      {"resnet", {{"depth", 20}}, 272474 + 5850, 268346 + 5850, 41, 100},
      {"resnet", {{"depth", 29}, {"block", kBottleneck}}, 313114, 266170, 47},
      {"resnet", {{"depth", 110}, {"block", kBottleneck}}, 1147738, 1088698, 167},
      {"resnet", {{"depth", 164}, {"block", kBottleneck}}, 1704154, 1637050, 248},
      {"preresnet", {{"depth", 20}}, 272474 - 192, 268346, 41},
      {"preresnet", {{"depth", 164}, {"block", kBottleneck}}, 1704154 - 896, 1637050, 248},
      {"resnext", {{"cardinality", 1}}, 4914250, 4222666, 748},
      {"resnext", {{"cardinality", 2}}, 9130314, 8433354, 1411},
      {"resnext", {{"cardinality", 8}}, 34426698, 33697482, 5387},
      {"resnext", {{"cardinality", 16}}, 68155210, 67382986, 10689},
      {"wrn", {{"depth", 16}, {"widen_factor", 1}}, 175066, 171578, 27},
      {"wrn", {{"depth", 16}, {"widen_factor", 4}}, 2748890, 2703290, 393},
      {"wrn", {{"depth", 28}, {"widen_factor", 10}}, 36479194, 36202682, 5243},
      {"wrn", {{"depth", 40}, {"widen_factor", 4}}, 8949210, 8896442, 1299},
      {"wrn", {{"depth", 28}, {"widen_factor", 10}}, 36479194 + 90 * 641, 36202682 + 90 * 641, 5243, 100},
      {"densenet", {{"depth", 22}}, 71686, 69694, 31},
      {"densenet", {{"depth", 40}}, 176122, 171034, 72},
      {"densenet", {{"depth", 100}}, 769162, 745174, 288},
      {"densenet", {{"depth", 190}, {"growth_rate", 40}}, 25624430, 25367470, 9302},
      {"densenet", {{"depth", 40}, {"block", kBasic}, {"compression_rate", 1.0}}, 1059298, 1040578, 283},
      {"torchvision_resnet", {{"depth", 18}}, 11689512, 11507880, 1814, 1000, 224},
      {"torchvision_resnet", {{"depth", 34}}, 21797672, 21608616, 3664, 1000, 224},
      {"torchvision_resnet", {{"depth", 50}}, 25557032, 22735016, 4089, 1000, 224},
      {"mobilenet_v2", {{"width_mult", 0.5}}, 1968680, 1950136, 97, 1000, 224},
      {"mobilenet_v2", {}, 3504872, 3470760, 301, 1000, 224},
      {"mobilenet_v2", {{"width_mult", 1.4}}, 6108776, 6060840, 582, 1000, 224},
  };
  return table;
}

std::int64_t count(const Network& network, bool quantized_alone) {
  std::int64_t sum = 0;
  for (const ParameterSpec& spec : network.parameters())
    if (!quantized_alone || spec.group == ParameterGroup::quantized) sum += spec.shape.numel();
  return sum;
}

double multiply_adds(const Network& network) {
  double flops = 0;
  const std::vector<TensorSpec> tensors = network.tensors(1, DType::f32);
  for (const Node& node : network.nodes()) flops += node.layer->flops(network.inputs_of(node, tensors));
  return flops / 2;
}

std::string conflict_of(const std::string& arch, const Settings& settings) {
  const std::vector<Conflict> conflicts = find_conflicts(config_of(arch, settings));
  return conflicts.empty() ? "" : conflicts.front().what;
}

}  // namespace

TEST_CASE("families have the parameters, bit planes and cost of the published classes") {
  for (const Family& family : families()) {
    const Config config = config_of(family.arch, family.settings);
    REQUIRE(find_conflicts(config).empty());
    const NetworkSpec spec = configured_network(config, {family.image, family.image, 3}, family.classes);
    INFO(spec.name << " of " << family.classes << " classes");
    const Network network = build_network(spec, {.activation = Activation::relu});
    CHECK(network.num_classes() == family.classes);
    CHECK(count(network, false) == family.parameters);
    CHECK(count(network, true) == family.quantized);
    CHECK(std::abs(multiply_adds(network) / 1e6 - family.mmac) <= 0.5 + 1e-3 * family.mmac);
  }
}

TEST_CASE("quantized networks of all families can be built, with PACT and with calibrated scales") {
  for (const NetworkFamily& family : network_families()) {
    INFO(family.name);
    const NetworkSpec spec = configured_network(config_of(family.name, {}), {64, 64, 3}, 10);
    const Network network = build_network(spec, {Activation::pact, 2, true});
    int quantizers = 0;
    for (const Node& node : network.nodes()) quantizers += node.layer->quantizer().has_value();
    CHECK(quantizers > 0);
    CHECK(to_json(spec_from_text(to_json(spec).dump())) == to_json(spec));
  }
}

TEST_CASE("depths and options that the published code builds wrongly are refused") {
  CHECK(conflict_of("resnet", {{"depth", 21}}) == "model.depth = 21; must be 6n+2, such as 20 or 26");
  CHECK(conflict_of("resnet", {{"depth", 110}, {"block", kBottleneck}}).empty());
  CHECK(conflict_of("resnet", {{"depth", 20}, {"block", kBottleneck}}).empty());
  CHECK(conflict_of("resnet", {{"depth", 32}, {"block", kBottleneck}}) ==
        "model.depth = 32; must be 9n+2, such as 29 or 38, with model.block bottleneck");
  CHECK(conflict_of("preresnet", {{"depth", 29}}) == "model.depth = 29; must be 6n+2, such as 26 or 32");
  CHECK(conflict_of("wrn", {{"depth", 29}}) == "model.depth = 29; must be 6n+4, such as 28 or 34");
  CHECK(conflict_of("resnext", {{"depth", 30}}) == "model.depth = 30; must be 9n+2, such as 29 or 38");
  CHECK(conflict_of("resnext", {{"widen_factor", 2}}).starts_with("model.widen_factor = 2; must be 4"));
  CHECK(conflict_of("densenet", {{"depth", 25}}) == "model.depth = 25; must be 6n+4, such as 22 or 28");
  CHECK(conflict_of("densenet", {{"depth", 26}, {"block", kBasic}}) ==
        "model.depth = 26; must be 3n+4, such as 25 or 28, with model.block basic");
  CHECK(conflict_of("densenet", {{"growth_rate", 1}, {"compression_rate", 3.0}}) ==
        "model.compression_rate = 3; leaves no channel of 2");
  CHECK(conflict_of("vgg", {{"depth", 12}}) == "model.depth = 12; must be 11, 13, 16 or 19");
  CHECK(conflict_of("torchvision_resnet", {{"depth", 20}}) == "model.depth = 20; must be 18, 34 or 50");
}

TEST_CASE("a key of another family is refused, with the keys that there are") {
  CHECK(conflict_of("resnet", {{"growth_rate", 12}}) ==
        "model.growth_rate: resnet has no such key, it has depth, width, block");
  CHECK(conflict_of("alexnet", {{"depth", 20}}) == "model.depth: alexnet has no such key, it has none");
}

TEST_CASE("each family has its own default of a key that several have") {
  CHECK(config_of("resnet", {}).family<int>("depth") == 20);
  CHECK(config_of("wrn", {}).family<int>("depth") == 28);
  CHECK(config_of("densenet", {}).family<int>("depth") == 100);
  CHECK(to_yaml(config_of("wrn", {})).find("  widen_factor: 10 ") != std::string::npos);
  CHECK(to_yaml(config_of("wrn", {})).find("growth_rate") == std::string::npos);
}

TEST_CASE("images that are too small for a network are refused in words") {
  for (const auto& [arch, size] : std::map<std::string, int>{{"vgg", 16}, {"alexnet", 20}, {"densenet", 3}}) {
    INFO(arch);
    const NetworkSpec spec = configured_network(config_of(arch, {}), {size, size, 3}, 10);
    CHECK_THROWS_AS(build_network(spec), SpecError);
  }
}

}  // namespace bsq::test
