// quant.layers: what is read of it, how it is printed, and what is refused, with the place of the key.
#include "tests/engine/config/config_support.h"

#include "engine/config/config_schema.h"

using namespace bsq;

namespace {

std::string layers_text(const Config& config) {
  return to_text(config.schema().find("quant.layers")->field.get(config));
}

/// The message for this value, which stands in line 3.
std::string refused(const std::string& rules) {
  const std::string message = error_of_text("quant:\n  layers:\n" + rules);
  const std::string end = "\n1 error; nothing was written";
  REQUIRE(message.ends_with(end));
  return message.substr(0, message.size() - end.size());
}

}  // namespace

TEST_CASE("rules of layers are read in their order, with the places of their keys") {
  const Config config = load_text(
      "quant:\n"
      "  layers:\n"
      "    '*': {max_bits: 4, act_bits: 0}\n"
      "    conv1:\n"
      "      weight_bits: 8\n"
      "      fixed: true\n"
      "    'layer?.[01].*': {float: true}\n"
      "  projections: true\n");
  const std::vector<LayerRule>& rules = config.quant.layers.rules;
  REQUIRE(rules.size() == 3);
  CHECK(rules[0].pattern == "*");
  CHECK(rules[0].max_bits == 4);
  CHECK(rules[0].act_bits == 0);
  CHECK_FALSE(rules[0].weight_bits);
  CHECK_FALSE(rules[0].fixed);
  CHECK(rules[1].weight_bits == 8);
  CHECK(rules[1].fixed == true);
  CHECK_THAT(rules[1].places.at(""), Catch::EndsWith("c.yaml:4:5"));
  CHECK_THAT(rules[1].places.at("fixed"), Catch::EndsWith("c.yaml:6:7"));
  CHECK(rules[2].pattern == "layer?.[01].*");
  CHECK(rules[2].stays_float == true);
  CHECK(config.quant.projections);
  CHECK(layers_text(config) ==
        "{\"*\": {max_bits: 4, act_bits: 0}, conv1: {weight_bits: 8, fixed: true}, "
        "\"layer?.[01].*\": {float: true}}");
}

TEST_CASE("rules of layers are replaced whole, and an empty section has none") {
  const std::string text = "quant: {layers: {conv1: {weight_bits: 8}, fc: {weight_bits: 8}}}\n";
  CHECK(layers_text(load_text(text, {"quant.layers={fc: {float: true}}"})) == "{fc: {float: true}}");
  CHECK(layers_text(load_text(text, {"quant.layers={}"})) == "{}");
  CHECK(layers_text(load_text("quant:\n  layers:\n")) == "{}");
  const Config config = load_text("", {"seed=2", "quant.layers={fc: {act_bits: 8}}"});
  CHECK(config.quant.layers.rules.at(0).places.at("act_bits") == "override 2");
}

TEST_CASE("a rule of layers is refused with the place of its key") {
  CHECK(refused("    conv1: {weight_bit: 8}\n") ==
        "c.yaml:3:13: quant.layers: 'conv1' has no key 'weight_bit', they are weight_bits, max_bits, act_bits, fixed, "
        "float; did you mean 'weight_bits'?");
  CHECK(refused("    conv1: {weight_bits: 9}\n") ==
        "c.yaml:3:13: quant.layers: 'conv1' weight_bits = 9; must be an integer in 1..8");
  CHECK(refused("    conv1: {max_bits: 0}\n") ==
        "c.yaml:3:13: quant.layers: 'conv1' max_bits = 0; must be an integer in 1..8");
  CHECK(refused("    conv1:\n      act_bits: many\n") ==
        "c.yaml:4:7: quant.layers: 'conv1' act_bits = many; expected an integer");
  CHECK(refused("    conv1: {fixed: yes}\n") == "c.yaml:3:13: quant.layers: 'conv1' fixed = yes; use true or false");
  CHECK(refused("    conv1: 8\n") == "c.yaml:3:5: quant.layers: 'conv1' = 8; expected keys, such as {weight_bits: 8}");
  CHECK(refused("    conv1: {}\n") ==
        "c.yaml:3:5: quant.layers: 'conv1' = {...}; expected keys, such as {weight_bits: 8}");
  CHECK(refused("    fc: {fixed: true}\n    fc: {float: true}\n") ==
        "c.yaml:4:5: duplicate key 'quant.layers.fc' (first at line 3)");
  CHECK(error_of_text("quant: {layers: [conv1]}\n") ==
        "c.yaml:1:9: quant.layers = [conv1]; expected names of layers, such as {conv1: {weight_bits: 8, fixed: true}}\n"
        "1 error; nothing was written");
  CHECK(error_of_text("", {"quant.layers={fc: {weight_bits: 0}}"}) ==
        "override 1: quant.layers: 'fc' weight_bits = 0; must be an integer in 1..8\n1 error; nothing was written");
}

TEST_CASE("a rule of layers that contradicts itself is refused") {
  CHECK(refused("    fc: {float: true, fixed: true}\n") ==
        "c.yaml:3:23: quant.layers: 'fc' says float: true, and fixed of weights that stay float means nothing; leave "
        "out one");
  CHECK(refused("    fc: {weight_bits: 4, float: true}\n") ==
        "c.yaml:3:10: quant.layers: 'fc' says float: true, and weight_bits of weights that stay float means nothing; "
        "leave out one");
  CHECK(refused("    fc: {weight_bits: 8, max_bits: 4}\n") ==
        "c.yaml:3:26: quant.layers: 'fc' max_bits = 4; must be at least weight_bits = 8");
  CHECK(refused("    fc: {fixed: true, max_bits: 8}\n") ==
        "c.yaml:3:23: quant.layers: 'fc' says fixed: true, which keeps weight_bits; leave out max_bits");
  CHECK_NOTHROW(load_text("quant: {layers: {fc: {float: true, fixed: false, act_bits: 3}}}\n"));
}
