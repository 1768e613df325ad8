// Which layers get bit widths where a network file says `quantize: all`.
#include "engine/network/quantize_all.h"

#include "tests/support/catch.h"

#include <set>

namespace bsq::test {
namespace {

NetworkSpec spec_in(const std::string& nodes) {
  NetworkSpec spec = spec_from_text(R"({"image": [8, 8, 3], "nodes": [)" + nodes + "]}");
  quantize_all(spec);
  return spec;
}

using Names = std::set<std::string>;

Names nodes_with(const NetworkSpec& spec, const char* option) {
  Names names;
  for (const NodeSpec& node : spec.nodes)
    if (node.options.value(option, nlohmann::ordered_json(false)) == true) names.insert(node.name);
  return names;
}

/// A bottleneck with a projection, whose main path begins and ends with 1x1 convolutions as well.
constexpr const char* kBottleneck = R"(
  {"name": "conv1", "layer": "conv2d", "out": 4}, {"name": "bn1", "layer": "batch_norm"},
  {"name": "relu1", "layer": "activation"},
  {"name": "a", "layer": "conv2d", "out": 2, "kernel": 1}, {"name": "bna", "layer": "batch_norm"},
  {"name": "relua", "layer": "activation"},
  {"name": "b", "layer": "conv2d", "out": 8, "kernel": 1}, {"name": "bnb", "layer": "batch_norm"},
  {"name": "down", "layer": "conv2d", "inputs": ["relu1"], "out": 8, "kernel": 1},
  {"name": "bnd", "layer": "batch_norm"},
  {"name": "add", "layer": "add", "inputs": ["bnb", "bnd"]}, {"name": "relub", "layer": "activation"},
  {"name": "c", "layer": "conv2d", "out": 8, "kernel": 1}, {"name": "bnc", "layer": "batch_norm"},
  {"name": "add2", "layer": "add", "inputs": ["bnc", "relub"]},
  {"name": "pool", "layer": "average_pool"}, {"name": "fc", "layer": "linear", "out": 3})";

}  // namespace

TEST_CASE("all weights but those of projections, all activations but the stem's") {
  const NetworkSpec spec = spec_in(kBottleneck);
  CHECK(nodes_with(spec, "projection") == Names{"down"});
  CHECK(nodes_with(spec, "quantized") == Names{"conv1", "a", "b", "c", "fc", "relua", "relub"});
}

TEST_CASE("a projection may have no norm, and a pool before it") {
  const char* begin = R"({"name": "conv1", "layer": "conv2d", "out": 4}, {"name": "bn1", "layer": "batch_norm"},
    {"name": "a", "layer": "conv2d", "out": 8}, {"name": "bna", "layer": "batch_norm"},
    {"name": "b", "layer": "conv2d", "out": 8})";
  const std::string end = R"(, {"name": "pool", "layer": "average_pool"}, {"name": "fc", "layer": "linear", "out": 3})";
  CHECK(nodes_with(
            spec_in(begin + std::string(R"(, {"name": "s", "layer": "conv2d", "inputs": ["bn1"], "out": 8, "kernel": 1},
    {"name": "add", "layer": "add", "inputs": ["b", "s"]})") +
                    end),
            "projection") == Names{"s"});
  CHECK(nodes_with(
            spec_in(begin + std::string(R"(, {"name": "p", "layer": "average_pool", "inputs": ["bn1"], "kernel": 1},
    {"name": "s", "layer": "conv2d", "out": 8, "kernel": 1}, {"name": "add", "layer": "add", "inputs": ["b", "s"]})") +
                    end),
            "projection") == Names{"s"});
  // Two branches of one convolution each are no shortcut and no main path, and a 3x3 convolution is no projection.
  CHECK(nodes_with(spec_in(R"({"name": "conv1", "layer": "conv2d", "out": 4}, {"name": "bn1", "layer": "batch_norm"},
    {"name": "a", "layer": "conv2d", "out": 8},
    {"name": "s", "layer": "conv2d", "inputs": ["bn1"], "out": 8, "kernel": 1},
    {"name": "add", "layer": "add", "inputs": ["a", "s"]})" +
                           end),
                   "projection")
            .empty());
  CHECK(nodes_with(spec_in(begin + std::string(R"(, {"name": "s", "layer": "conv2d", "inputs": ["bn1"], "out": 8},
    {"name": "add", "layer": "add", "inputs": ["b", "s"]})") +
                           end),
                   "projection")
            .empty());
}

TEST_CASE("what a node says itself is kept") {
  const NetworkSpec spec = spec_in(R"({"name": "conv1", "layer": "conv2d", "out": 4, "quantized": false},
    {"name": "relu1", "layer": "activation", "quantized": true},
    {"name": "conv2", "layer": "conv2d", "out": 4, "projection": true},
    {"name": "relu2", "layer": "activation", "quantized": false},
    {"name": "fc", "layer": "linear", "out": 4})");
  CHECK(nodes_with(spec, "quantized") == Names{"relu1", "fc"});
  CHECK(nodes_with(spec, "projection") == Names{"conv2"});
}

TEST_CASE("layers that are run get the activation of the stage") {
  const NetworkSpec spec = spec_in(R"({"name": "c", "layer": "conv2d", "out": 4}, {"name": "stem", "layer": "norm_act"},
    {"name": "n", "layer": "norm_act"}, {"name": "r", "layer": "norm_act", "activation": "relu"},
    {"name": "six", "layer": "bias_act", "activation": "relu6"},
    {"name": "p", "layer": "norm_act", "activation": "pact"},
    {"name": "none", "layer": "norm_act", "activation": "none"})");
  CHECK(nodes_with(spec, "quantized") == Names{"c", "n", "r", "six", "p"});
  CHECK_FALSE(spec.nodes[3].options.contains("activation"));
  CHECK(spec.nodes[4].options["activation"] == "configured_relu6");
  CHECK(spec.nodes[5].options["activation"] == "pact");
}

}  // namespace bsq::test
