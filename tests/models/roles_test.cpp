// quant.layers and quant.projections become what the nodes of a network say; what cannot be meant is refused.
#include "models/roles.h"

#include "engine/network/layer_kinds.h"
#include "models/families.h"
#include "tests/support/config.h"
#include "tests/support/files.h"

#include <map>

namespace bsq::test {
namespace {

using nlohmann::ordered_json;

Config config_with(const std::vector<std::string>& overrides) {
  std::vector<std::string> words = {"model.depth=8"};
  words.insert(words.end(), overrides.begin(), overrides.end());
  return load_config(schema(), "", words);
}

NetworkSpec spec_with(const std::vector<std::string>& overrides) {
  return configured_network(config_with(overrides), {32, 32, 3}, 10);
}

const ordered_json& options_of(const NetworkSpec& spec, const std::string& name) {
  for (const NodeSpec& node : spec.nodes)
    if (node.name == name) return node.options;
  FAIL("no node " << name);
  return spec.nodes.front().options;
}

std::map<std::string, WidthRule> widths_of(const NetworkSpec& spec) {
  std::map<std::string, WidthRule> widths;
  const Network network = build_network(spec);
  for (const ParameterSpec& parameter : network.parameters())
    if (parameter.group == ParameterGroup::quantized) widths[parameter.name] = parameter.widths;
  return widths;
}

std::map<std::string, int> quantizers_of(const NetworkSpec& spec, int act_bits) {
  std::map<std::string, int> bits;
  const Network network = build_network(spec, {.act_bits = act_bits});
  for (const Node& node : network.nodes())
    if (const auto quantizer = node.layer->quantizer()) bits[quantizer->name] = quantizer->bits;
  return bits;
}

/// The lines that these rules are refused with, but for the last one.
std::string refused_rules(const std::string& rules, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = {"quant.layers={" + rules + "}"};
  words.insert(words.end(), more.begin(), more.end());
  const Config config = config_with(words);
  const std::string message = error_of(ErrorKind::usage, [&] { configured_network(config, {32, 32, 3}, 10); });
  CHECK(error_of(ErrorKind::usage, [&] { check_layers(config); }) == message);
  const std::string start = "override 2: quant.layers: ", end = "\n1 error; nothing was written";
  REQUIRE(message.starts_with(start));
  REQUIRE(message.ends_with(end));
  return message.substr(start.size(), message.size() - start.size() - end.size());
}

}  // namespace

TEST_CASE("without rules a network is what its family says, and projections stay float") {
  const NetworkSpec bare = bare_network(config_with({}), {32, 32, 3}, 10), spec = spec_with({});
  CHECK(options_of(bare, "layer2.0.downsample.0").at("projection") == true);
  NetworkSpec expected = bare;
  for (NodeSpec& node : expected.nodes) node.options.erase("projection");
  CHECK(to_json(spec).dump() == to_json(expected).dump());
  CHECK(options_of(spec, "layer2.0.downsample.0").dump() ==
        R"({"out":32,"kernel":1,"initializer":"torch_default","stride":2})");
}

TEST_CASE("projections are quantized where that is wanted") {
  const NetworkSpec spec = spec_with({"quant.projections=true"});
  CHECK(options_of(spec, "layer2.0.downsample.0").at("quantized") == true);
  CHECK_FALSE(options_of(spec, "layer2.0.downsample.0").contains("projection"));
  const auto widths = widths_of(spec);
  CHECK(widths.size() == widths_of(spec_with({})).size() + 2);
  CHECK(widths.contains("layer3.0.downsample.0.weight"));
  const NetworkSpec some = spec_with({"quant.projections=true", "quant.layers={layer2.*.downsample.0: {float: true}}"});
  CHECK_FALSE(widths_of(some).contains("layer2.0.downsample.0.weight"));
  CHECK(widths_of(some).contains("layer3.0.downsample.0.weight"));
}

TEST_CASE("first and last layer at 8 bits, the bias as the weight") {
  const NetworkSpec spec = spec_with({"quant.weight_bits=4",
                                      "quant.layers={conv1: {weight_bits: 8, fixed: true}, "
                                      "fc: {weight_bits: 8, fixed: true}}"});
  CHECK(options_of(spec, "conv1").dump() == R"({"out":16,"quantized":true,"weight_bits":8,"fixed":true})");
  const auto widths = widths_of(spec);
  const WidthRule eight{.start = 8, .most = 0, .fixed = true};
  for (const auto& [name, rule] : widths) {
    INFO(name);
    const bool is_meant = name == "conv1.weight" || name == "fc.weight" || name == "fc.bias";
    CHECK(rule == (is_meant ? eight : WidthRule{}));
  }
}

TEST_CASE("a fixed layer that says no bits has those of the configuration") {
  const auto widths = widths_of(spec_with({"quant.weight_bits=5", "quant.layers={fc: {fixed: true}}"}));
  CHECK(widths.at("fc.bias") == WidthRule{.start = 5, .most = 0, .fixed = true});
}

TEST_CASE("later rules win key by key, and patterns are those of a shell") {
  const auto widths =
      widths_of(spec_with({"quant.layers={\"*\": {weight_bits: 3, max_bits: 6}, "
                           "\"layer[12].0.conv?\": {max_bits: 4}, layer1.0.conv2: {weight_bits: 2}}"}));
  CHECK(widths.at("conv1.weight") == WidthRule{3, 6, false});
  CHECK(widths.at("layer1.0.conv1.weight") == WidthRule{3, 4, false});
  CHECK(widths.at("layer1.0.conv2.weight") == WidthRule{2, 4, false});
  CHECK(widths.at("layer3.0.conv2.weight") == WidthRule{3, 6, false});
  const auto freed = widths_of(spec_with({"quant.layers={\"*\": {weight_bits: 8, fixed: true}, fc: {fixed: false}}"}));
  CHECK(freed.at("conv1.weight").fixed);
  CHECK(freed.at("fc.weight") == WidthRule{8, 0, false});
}

TEST_CASE("a layer may stay float, whatever rules for all say") {
  const NetworkSpec spec =
      spec_with({"quant.layers={\"*\": {weight_bits: 4, max_bits: 4}, fc: {float: true}, conv1: {float: true}}"});
  CHECK(options_of(spec, "fc").dump() == R"({"out":10,"quantized":false})");
  CHECK(widths_of(spec).size() == 6);
  const NetworkSpec back = spec_with({"quant.layers={\"*\": {float: true}, \"layer3.*\": {float: false}}"});
  CHECK(widths_of(back).size() == 2);
}

TEST_CASE("activations have bits of their own, by the name of the node or of the activation") {
  const NetworkSpec spec =
      spec_with({"quant.layers={\"*\": {act_bits: 4}, layer1.0.relu1: {act_bits: 8}, "
                 "layer2.0.bn2: {act_bits: 2}, layer3.0.relu2: {act_bits: 0}}"});
  CHECK(options_of(spec, "layer1.0.bn1").at("act_bits") == 8);
  CHECK_FALSE(options_of(spec, "bn1").contains("act_bits"));  // which has no quantizer
  CHECK(quantizers_of(spec, 3) == std::map<std::string, int>{{"layer1.0.relu1", 8},
                                                             {"layer1.0.relu2", 4},
                                                             {"layer2.0.relu1", 4},
                                                             {"layer2.0.relu2", 2},
                                                             {"layer3.0.relu1", 4}});
  CHECK(quantizers_of(spec, 0).empty());  // as while training in float
}

TEST_CASE("a rule that means nothing is refused, with the nearest name") {
  CHECK(refused_rules("con1: {weight_bits: 8}") == "'con1' matches no layer; did you mean 'conv1'?");
  CHECK(refused_rules("layer1.0.relu: {act_bits: 8}") ==
        "'layer1.0.relu' matches no layer; did you mean 'layer1.0.relu1'?");
  CHECK(refused_rules("\"block*\": {fixed: true}") == "'block*' matches no layer");
  CHECK(refused_rules("conv1: {act_bits: 8}") == "'conv1' has no quantized activations; act_bits means nothing there");
  CHECK(refused_rules("relu: {act_bits: 8}") == "'relu' matches no layer");
  CHECK(refused_rules("bn1: {act_bits: 8}") == "'bn1' has no quantized activations; act_bits means nothing there");
  CHECK(refused_rules("layer1.0.relu1: {weight_bits: 8}") ==
        "'layer1.0.relu1' has no quantized weights; weight_bits means nothing there");
  CHECK(refused_rules("\"*.bn?\": {max_bits: 8}") == "'*.bn?' has no quantized weights; max_bits means nothing there");
  CHECK(refused_rules("\"*.downsample.0\": {weight_bits: 8}") ==
        "'*.downsample.0' has no quantized weights, unless quant.projections is true; weight_bits means nothing there");
}

TEST_CASE("rules that contradict each other are refused") {
  CHECK(refused_rules("\"*\": {fixed: true}, fc: {float: true}") ==
        "fc is fixed: true and float: true; say false to one of them (the other is at override 2)");
  CHECK(refused_rules("fc: {weight_bits: 8}", {"quant.weight_bits=4", "quant.max_bits=4"}) ==
        "fc has weight_bits = 8 and max_bits = 4; say max_bits as well");
  CHECK(refused_rules("fc: {max_bits: 4}") == "fc has weight_bits = 8 and max_bits = 4; say fewer weight_bits as well");
  CHECK(refused_rules("layer1.0.relu1: {act_bits: 4}", {"quant.act_bits=0"}) ==
        "layer1.0.bn1 has act_bits = 4, but quant.act_bits = 0 leaves all activations float; set it to the bits of the "
        "others");
  CHECK(refused_rules("\"*\": {float: true}") == "every layer stays float; leave one that is quantized");
  CHECK_NOTHROW(spec_with({"quant.layers={\"*\": {act_bits: 0}}", "quant.act_bits=0"}));
}

TEST_CASE("several mistakes are said at once, with the lines of their keys") {
  const TemporaryFolder folder;
  put_text(folder / "c.yaml",
           "quant:\n"
           "  layers:\n"
           "    conv9: {weight_bits: 8}\n"
           "    fc:\n"
           "      weight_bits: 8\n"
           "      act_bits: 8\n");
  const Config config = load_config(schema(), folder / "c.yaml");
  const std::string at = (folder / "c.yaml").string();
  CHECK(error_of(ErrorKind::usage, [&] { check_layers(config); }) ==
        at + ":3:5: quant.layers: 'conv9' matches no layer; did you mean 'conv1'?\n" + at +
            ":6:7: quant.layers: 'fc' has no quantized activations; act_bits means nothing there\n"
            "2 errors; nothing was written");
}

namespace {

/// A scheme of the layers of ResNet-8 without `left_out`, as the value of quant.scheme.
std::string scheme_without(const std::string& left_out, const std::string& more = "") {
  std::string text;
  for (const char* name : {"conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.conv2",
                           "layer3.0.conv1", "layer3.0.conv2", "fc"})
    if (name != left_out) text += fmt::format("{}{}: {{weight_bits: 3}}", text.empty() ? "" : ", ", name);
  return "quant.scheme={" + text + more + "}";
}

/// What is said of this scheme, but for its place and the last line.
std::string refused_scheme(const std::string& scheme, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = {scheme};
  words.insert(words.end(), more.begin(), more.end());
  const std::string message = error_of(ErrorKind::usage, [&] { spec_with(words); });
  const std::string start = "override 2: scheme: ", end = "\n1 error; nothing was written";
  REQUIRE(message.starts_with(start));
  REQUIRE(message.ends_with(end));
  return message.substr(start.size(), message.size() - start.size() - end.size());
}

}  // namespace

TEST_CASE("a scheme says the widths of all layers, and quant.layers wins over it") {
  const auto widths = widths_of(spec_with(
      {scheme_without(""), "quant.layers={\"layer1.*\": {weight_bits: 5}, fc: {weight_bits: 8, fixed: true}}"}));
  CHECK(widths.at("conv1.weight") == WidthRule{3, 0, false});
  CHECK(widths.at("layer1.0.conv2.weight") == WidthRule{5, 0, false});
  CHECK(widths.at("fc.bias") == WidthRule{8, 0, true});
  CHECK(widths_of(spec_with({"quant.scheme={\"*\": {weight_bits: 2}}"})).at("fc.weight") == WidthRule{2, 0, false});
  const auto some_float = widths_of(spec_with({scheme_without("conv1"), "quant.layers={conv1: {float: true}}"}));
  CHECK_FALSE(some_float.contains("conv1.weight"));
  CHECK_NOTHROW(spec_with({scheme_without("conv1"), "quant.layers={conv1: {weight_bits: 4}}"}));
}

TEST_CASE("the scheme of another network is refused") {
  CHECK(refused_scheme(scheme_without("", ", layer1.1.conv1: {weight_bits: 3}")) ==
        "'layer1.1.conv1' matches no layer; did you mean 'layer1.0.conv1'?");
  CHECK(refused_scheme(scheme_without("layer2.0.conv1")) ==
        "says no weight_bits of layer2.0.conv1; add them, or is it the scheme of another network?");
  CHECK(refused_scheme(scheme_without(""), {"model.depth=20"}) ==
        "says no weight_bits of layer1.1.conv1, layer1.1.conv2, layer1.2.conv1, layer1.2.conv2, layer2.1.conv1 and 7 "
        "more layers; add them, or is it the scheme of another network?");
  CHECK(refused_scheme(scheme_without(""), {"quant.projections=true"}) ==
        "says no weight_bits of layer2.0.downsample.0, layer3.0.downsample.0; add them, or is it the scheme of another "
        "network?");
  CHECK(refused_scheme(scheme_without("", ", bn1: {weight_bits: 3}")) ==
        "'bn1' has no quantized weights; weight_bits means nothing there");
  const Config config = config_with({scheme_without("fc")});
  CHECK_THAT(error_of(ErrorKind::usage, [&] { check_layers(config); }), Catch::Contains("says no weight_bits of fc"));
}

TEST_CASE("the bias that another node adds is no layer of a scheme") {
  std::vector<std::string> words = {"model.arch=vgg", "model.depth=11", "quant.scheme={\"*\": {weight_bits: 2}}"};
  const NetworkSpec all = configured_network(load_config(schema(), "", words), {32, 32, 3}, 10);
  std::string scheme;
  for (const NodeSpec& node : all.nodes)
    if (node.layer == "conv2d" || node.layer == "linear")
      scheme += fmt::format("{}\"{}\": {{weight_bits: 4}}", scheme.empty() ? "" : ", ", node.name);
  words.back() = "quant.scheme={" + scheme + "}";
  const auto widths = widths_of(configured_network(load_config(schema(), "", words), {32, 32, 3}, 10));
  CHECK(widths.size() > 16);  // weights and biases
  for (const auto& [name, rule] : widths) CHECK(rule.start == 4);
}

TEST_CASE("what a network file says of widths holds, unless a rule says otherwise") {
  const TemporaryFolder folder;
  put_text(folder / "net.yaml",
           "nodes:\n"
           "  - {name: a, layer: conv2d, out: 4, quantized: true, weight_bits: 8, fixed: true}\n"
           "  - {name: n, layer: norm_act, quantized: true, act_bits: 2}\n"
           "  - {name: pool, layer: average_pool}\n"
           "  - {name: fc, layer: linear, out: 10, quantized: true, max_bits: 5}\n");
  const std::string file = "model.network=" + (folder / "net.yaml").string();
  CHECK(widths_of(spec_with({file})) == std::map<std::string, WidthRule>{{"a.weight", {8, 0, true}},
                                                                         {"fc.bias", {0, 5, false}},
                                                                         {"fc.weight", {0, 5, false}}});
  CHECK(quantizers_of(spec_with({file}), 4) == std::map<std::string, int>{{"n.act", 2}});
  const NetworkSpec other =
      spec_with({file, "quant.layers={a: {weight_bits: 6}, n: {act_bits: 3}, fc: {fixed: true, weight_bits: 7}}"});
  CHECK(widths_of(other) == std::map<std::string, WidthRule>{
                                {"a.weight", {6, 0, true}}, {"fc.bias", {7, 0, true}}, {"fc.weight", {7, 0, true}}});
  CHECK(quantizers_of(other, 4) == std::map<std::string, int>{{"n.act", 3}});
  CHECK(widths_of(spec_with({file, "quant.layers={a: {float: true}}"})).size() == 2);
}

TEST_CASE("signed numbers of any network are quantized where quant.signed says so, by bits that quant.layers may say") {
  const auto spec_of = [](std::vector<std::string> words) {
    words.insert(words.end(), {"model.arch=mobilenet_v2", "quant.activation=lsq"});
    return configured_network(load_config(schema(), "", words), {32, 32, 3}, 10);
  };
  const auto quantizers = [](const NetworkSpec& spec) {
    std::map<std::string, int> bits;
    const Network network =
        build_network(spec, {.activation = Activation::lsq, .act_bits = 4, .quantizes_signed = true});
    for (const Node& node : network.nodes())
      if (node.layer->kind() == "quantize") bits[node.name] = node.layer->quantizer()->bits;
    return bits;
  };
  CHECK(quantizers(spec_of({})).empty());
  CHECK(to_json(spec_of({})) == to_json(spec_of({"quant.signed=float"})));
  const std::map<std::string, int> all = quantizers(spec_of({"quant.signed=lsq_plus"}));
  CHECK(all.size() == 17);  // a projection a block
  CHECK(all.contains("features.1.conv.2.quantize"));
  CHECK(all.at("features.17.conv.3.quantize") == 4);
  const std::map<std::string, int> some = quantizers(
      spec_of({"quant.signed=lsq_plus",
               "quant.layers={features.1.conv.2.quantize: {act_bits: 8}, features.2.conv.3.quantize: {act_bits: 0}}"}));
  CHECK(some.size() == 16);
  CHECK(some.at("features.1.conv.2.quantize") == 8);
  CHECK_FALSE(some.contains("features.2.conv.3.quantize"));
  const std::string unknown =
      error_of(ErrorKind::usage, [&] { spec_of({"quant.layers={features.1.conv.2.quantize: {act_bits: 8}}"}); });
  CHECK_THAT(unknown, Catch::Contains("'features.1.conv.2.quantize' matches no layer"));
}

}  // namespace bsq::test
