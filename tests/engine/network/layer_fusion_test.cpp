// The layers of PyTorch become those that are run: every pattern, what stands in the way of each, and errors that name
// what was written.
#include "engine/network/layer_fusion.h"

#include "engine/network/layer_kinds.h"
#include "tests/support/catch.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {

using nlohmann::ordered_json;

/// A network of these nodes, on images of 8x8.
NetworkSpec spec_of(const std::string& nodes) {
  return spec_from_text(R"({"name": "net", "image": [8, 8, 3], "nodes": [)" + nodes + "]}");
}

/// The nodes of one as fused: name, layer, inputs that are not the node before, options.
std::string fused(const std::string& nodes) {
  const ordered_json json = to_json(fuse_layers(spec_of(nodes)).spec)["nodes"];
  std::string text;
  for (const ordered_json& node : json) text += (text.empty() ? "" : "\n") + node.dump();
  return text;
}

void check(const std::string& nodes, const std::vector<std::string>& expected) {
  std::string text;
  for (const std::string& node : expected) text += (text.empty() ? "" : "\n") + ordered_json::parse(node).dump();
  CHECK(fused(nodes) == text);
}

/// What is wrong with a network as written, whoever finds it.
std::string refused(const std::string& nodes) {
  return error_of(ErrorKind::usage, [&] {
    const FusedNetwork network = fuse_layers(spec_of(nodes));
    try {
      build_network(network.spec);
    } catch (const SpecError& error) {
      throw network.as_written(error);
    }
  });
}

/// The number of the node that an error is about.
int refused_node(const std::string& nodes) {
  const FusedNetwork network = fuse_layers(spec_of(nodes));
  try {
    build_network(network.spec);
  } catch (const SpecError& error) {
    return network.as_written(error).node();
  }
  return -1;
}

constexpr const char* kConv = R"({"name": "conv", "layer": "conv2d", "out": 4, "quantized": true})";
constexpr const char* kBiased = R"({"name": "conv", "layer": "conv2d", "out": 4, "quantized": true, "bias": true})";
constexpr const char* kNorm = R"({"name": "bn", "layer": "batch_norm"})";
constexpr const char* kRelu = R"({"name": "relu", "layer": "activation"})";
constexpr const char* kEnd =
    R"({"name": "pool", "layer": "average_pool"}, {"name": "fc", "layer": "linear", "out": 3})";
const std::vector<std::string> kEndNodes = {R"({"name": "pool", "layer": "average_pool"})",
                                            R"({"name": "fc", "layer": "linear", "out": 3})"};

std::string joined(const std::vector<std::string>& nodes) {
  std::string text;
  for (const std::string& node : nodes) text += (text.empty() ? "" : ", ") + node;
  return text;
}

std::vector<std::string> with_end(std::vector<std::string> nodes) {
  nodes.insert(nodes.end(), kEndNodes.begin(), kEndNodes.end());
  return nodes;
}

}  // namespace

TEST_CASE("a batch norm and its activation are one node, with the names of both") {
  check(joined({kConv, kNorm, kRelu, kEnd}),
        with_end({kConv, R"({"name": "bn", "layer": "norm_act", "activation": "relu", "activation_name": "relu"})"}));
}

TEST_CASE("a norm keeps its options, an activation says its kind and whether it is quantized") {
  const auto node = [](const char* activation) {
    const std::string nodes = joined({kConv, R"({"name": "bn", "layer": "batch_norm", "epsilon": 0.001})",
                                      std::string(R"({"name": "a", "layer": "activation")") + activation + "}", kEnd});
    return to_json(fuse_layers(spec_of(nodes)).spec)["nodes"][1];
  };
  CHECK(node("") == ordered_json::parse(R"({"name": "bn", "layer": "norm_act", "epsilon": 0.001, "activation": "relu",
                                            "activation_name": "a"})"));
  CHECK(node(R"(, "kind": "relu6")")["activation"] == "relu6");
  CHECK(node(R"(, "kind": "pact", "quantized": true)")["activation"] == "pact");
  CHECK(node(R"(, "kind": "relu6", "quantized": true)")["activation"] == "configured_relu6");
  CHECK(node(R"(, "kind": "configured", "quantized": true)")["activation"] == "configured");
  const ordered_json quantized = node(R"(, "quantized": true)");  // the activation of the stage
  CHECK(quantized["quantized"] == true);
  CHECK_FALSE(quantized.contains("activation"));
}

TEST_CASE("a norm alone has no activation, and an activation alone is a bias_act without a bias") {
  check(joined({kConv, kNorm, kEnd}),
        with_end({kConv, R"({"name": "bn", "layer": "norm_act", "activation": "none"})"}));
  check(joined({kConv, kRelu, kEnd}),
        with_end({kConv, R"({"name": "relu", "layer": "bias_act", "activation": "relu", "activation_name": "relu"})"}));
  // Of numbers, too.
  check(joined({kConv, kNorm, R"({"name": "pool", "layer": "average_pool"})",
                R"({"name": "f", "layer": "linear", "out": 5})", kRelu,
                R"({"name": "fc", "layer": "linear", "out": 3})"}),
        {kConv, R"({"name": "bn", "layer": "norm_act", "activation": "none"})",
         R"({"name": "pool", "layer": "average_pool"})", R"({"name": "f", "layer": "linear", "out": 5})",
         R"({"name": "relu", "layer": "bias_act", "activation": "relu", "activation_name": "relu"})",
         R"({"name": "fc", "layer": "linear", "out": 3})"});
}

TEST_CASE("a sum goes into the norm before it, and the activation behind it too") {
  const std::string stem = joined({kConv, kNorm, kRelu});
  const char* second = R"({"name": "conv2", "layer": "conv2d", "out": 4})";
  const char* norm = R"({"name": "bn2", "layer": "batch_norm"})";
  const std::vector<std::string> fused_stem = {
      kConv, R"({"name": "bn", "layer": "norm_act", "activation": "relu", "activation_name": "relu"})", second};
  const auto sum = [&](const char* inputs) {
    return joined({stem, second, norm, R"({"name": "add", "layer": "add", "inputs": )" + std::string(inputs) + "}"});
  };
  for (const char* inputs : {R"(["bn2", "relu"])", R"(["relu", "bn2"])"}) {
    std::vector<std::string> expected = fused_stem;
    expected.emplace_back(R"({"name": "bn2", "layer": "norm_act", "inputs": ["conv2", "bn"], "activation": "none"})");
    check(joined({sum(inputs), kEnd}), with_end(expected));
    expected.back() = R"({"name": "bn2", "layer": "norm_act", "inputs": ["conv2", "bn"], "quantized": true,
                          "activation_name": "relu2"})";
    check(joined({sum(inputs), R"({"name": "relu2", "layer": "activation", "quantized": true})", kEnd}),
          with_end(expected));
  }
}

TEST_CASE("of two norms in a sum the first takes it in, where the last part was") {
  check(joined({kConv, kNorm, kRelu, R"({"name": "conv2", "layer": "conv2d", "out": 4})",
                R"({"name": "bn2", "layer": "batch_norm"})",
                R"({"name": "down", "layer": "conv2d", "inputs": ["relu"], "out": 4, "kernel": 1})",
                R"({"name": "bnd", "layer": "batch_norm"})",
                R"({"name": "add", "layer": "add", "inputs": ["bn2", "bnd"]})",
                R"({"name": "relu2", "layer": "activation"})", kEnd}),
        with_end({kConv, R"({"name": "bn", "layer": "norm_act", "activation": "relu", "activation_name": "relu"})",
                  R"({"name": "conv2", "layer": "conv2d", "out": 4})",
                  R"({"name": "down", "layer": "conv2d", "inputs": ["bn"], "out": 4, "kernel": 1})",
                  R"({"name": "bnd", "layer": "norm_act", "activation": "none"})",
                  R"({"name": "bn2", "layer": "norm_act", "inputs": ["conv2", "bnd"], "activation": "relu",
                      "activation_name": "relu2"})"}));
}

TEST_CASE("what somebody else reads is not taken in") {
  // The norm: its activation stands alone.
  check(joined({kConv, kNorm, kRelu, R"({"name": "cat", "layer": "concat", "inputs": ["relu", "bn"]})", kEnd}),
        with_end({kConv, R"({"name": "bn", "layer": "norm_act", "activation": "none"})",
                  R"({"name": "relu", "layer": "bias_act", "activation": "relu", "activation_name": "relu"})",
                  R"({"name": "cat", "layer": "concat", "inputs": ["relu", "bn"]})"}));
  // The sum: it has no activation.
  check(joined({kConv, kNorm, R"({"name": "conv2", "layer": "conv2d", "out": 4})",
                R"({"name": "bn2", "layer": "batch_norm"})",
                R"({"name": "add", "layer": "add", "inputs": ["bn2", "bn"]})", kRelu,
                R"({"name": "cat", "layer": "concat", "inputs": ["add", "relu"]})", kEnd}),
        with_end({kConv, R"({"name": "bn", "layer": "norm_act", "activation": "none"})",
                  R"({"name": "conv2", "layer": "conv2d", "out": 4})",
                  R"({"name": "bn2", "layer": "norm_act", "inputs": ["conv2", "bn"], "activation": "none"})",
                  R"({"name": "relu", "layer": "bias_act", "activation": "relu", "activation_name": "relu"})",
                  R"({"name": "cat", "layer": "concat", "inputs": ["bn2", "relu"]})"}));
}

TEST_CASE("a sum without a norm is a bias_act with its activation, or stays an add") {
  const std::string branches = joined({kConv, kNorm, R"({"name": "a", "layer": "conv2d", "out": 4})",
                                       R"({"name": "b", "layer": "conv2d", "out": 4, "inputs": ["bn"]})"});
  const char* sum = R"({"name": "add", "layer": "add", "inputs": ["a", "b"]})";
  std::vector<std::string> expected = {kConv, R"({"name": "bn", "layer": "norm_act", "activation": "none"})",
                                       R"({"name": "a", "layer": "conv2d", "out": 4})",
                                       R"({"name": "b", "layer": "conv2d", "inputs": ["bn"], "out": 4})", sum};
  check(joined({branches, sum, kEnd}), with_end(expected));
  expected.back() = R"({"name": "relu", "layer": "bias_act", "inputs": ["a", "b"], "activation": "relu",
                        "activation_name": "relu"})";
  check(joined({branches, sum, kRelu, kEnd}), with_end(expected));
}

TEST_CASE("a bias before a norm gets no bit widths, unless it is said") {
  check(
      joined({kBiased, kNorm, kEnd}),
      with_end(
          {R"({"name": "conv", "layer": "conv2d", "out": 4, "quantized": true, "bias": true, "bias_quantized": false})",
           R"({"name": "bn", "layer": "norm_act", "activation": "none"})"}));
  const char* said =
      R"({"name": "conv", "layer": "conv2d", "out": 4, "quantized": true, "bias": true, "bias_quantized": true})";
  CHECK(refused(joined({said, kNorm, kEnd})).starts_with("node 'bn': "));
  check(
      joined({kBiased, kRelu, kEnd}),  // here it has an effect
      with_end({kBiased, R"({"name": "relu", "layer": "bias_act", "activation": "relu", "activation_name": "relu"})"}));
}

TEST_CASE("a sum of one stands behind a convolution that its readers cannot take") {
  const char* out = R"({"name": "conv.out", "layer": "bias_act", "activation": "none"})";
  const char* next = R"({"name": "next", "layer": "conv2d", "out": 4})";
  check(joined({kConv, next, kNorm, kEnd}),
        with_end({kConv, out, next, R"({"name": "bn", "layer": "norm_act", "activation": "none"})"}));
  const char* pool = R"({"name": "max", "layer": "max_pool", "kernel": 2})";
  check(joined({kConv, pool, kEnd}), with_end({kConv, out, pool}));
  check(joined({kBiased, kEnd}), with_end({kBiased, out}));
  check(joined({kConv, kEnd}), with_end({kConv}));  // an average takes integers
  // All readers read it, a sum too.
  check(joined({kConv, next, kNorm, R"({"name": "add", "layer": "add", "inputs": ["bn", "conv"]})", kEnd}),
        with_end({kConv, out, next,
                  R"({"name": "bn", "layer": "norm_act", "inputs": ["next", "conv.out"], "activation": "none"})"}));
  // Dropout hands the integers on.
  const char* dropout = R"({"name": "drop", "layer": "dropout", "rate": 0.5})";
  check(joined({kConv, dropout, next, kNorm, kEnd}),
        with_end({kConv, dropout, R"({"name": "drop.out", "layer": "bias_act", "activation": "none"})", next,
                  R"({"name": "bn", "layer": "norm_act", "activation": "none"})"}));
  // The name is one that is free.
  check(joined({R"({"name": "conv.out", "layer": "conv2d", "out": 4, "quantized": true})",
                R"({"name": "conv.out.out", "layer": "conv2d", "out": 4})", kNorm, kEnd}),
        with_end({R"({"name": "conv.out", "layer": "conv2d", "out": 4, "quantized": true})",
                  R"({"name": "conv.out.out_", "layer": "bias_act", "activation": "none"})",
                  R"({"name": "conv.out.out", "layer": "conv2d", "out": 4})",
                  R"({"name": "bn", "layer": "norm_act", "activation": "none"})"}));
}

TEST_CASE("a bias is added once: by the only reader, which may be a sum") {
  const std::string branches =
      joined({kConv, kNorm, R"({"name": "a", "layer": "conv2d", "out": 4, "bias": true})",
              R"({"name": "b", "layer": "conv2d", "out": 4, "bias": true, "inputs": ["bn"]})"});
  const std::vector<std::string> fused_branches = {
      kConv, R"({"name": "bn", "layer": "norm_act", "activation": "none"})",
      R"({"name": "a", "layer": "conv2d", "out": 4, "bias": true})",
      R"({"name": "b", "layer": "conv2d", "inputs": ["bn"], "out": 4, "bias": true})"};
  std::vector<std::string> expected = fused_branches;
  expected.emplace_back(R"({"name": "b.out", "layer": "bias_act", "activation": "none"})");
  expected.emplace_back(R"({"name": "add", "layer": "add", "inputs": ["a", "b.out"]})");
  check(joined({branches, R"({"name": "add", "layer": "add", "inputs": ["a", "b"]})", kEnd}), with_end(expected));
  // Two readers of one bias.
  check(joined({kBiased, kNorm, R"({"name": "add", "layer": "add", "inputs": ["bn", "conv"]})", kEnd}),
        with_end({kBiased, R"({"name": "conv.out", "layer": "bias_act", "activation": "none"})",
                  R"({"name": "bn", "layer": "norm_act", "activation": "none"})",
                  R"({"name": "add", "layer": "add", "inputs": ["bn", "conv.out"]})"}));
}

TEST_CASE("layers that are run as they are stay as they are") {
  const std::string nodes = joined({kConv, R"({"name": "n", "layer": "norm_act", "quantized": true})", kEnd});
  CHECK(to_json(fuse_layers(spec_of(nodes)).spec).dump() == to_json(spec_of(nodes)).dump());
}

TEST_CASE("what is wrong is said of the node and the key that were written") {
  CHECK(refused(joined({kConv, R"({"name": "bn", "layer": "batch_norm", "eps": 0.1})", kEnd})) ==
        "node 'bn', key 'eps': is no option of batch_norm, it has epsilon, momentum");
  CHECK(refused(joined({kConv, R"({"name": "bn", "layer": "batch_norm", "epsilon": 2})", kRelu, kEnd})) ==
        "node 'bn', key 'epsilon': must be a number in 0..1");
  CHECK(refused(joined({kConv, R"({"name": "a", "layer": "activation", "kind": "gelu"})", kEnd})) ==
        "node 'a', key 'kind': must be one of relu, relu6, pact, lsq, configured; did you mean 'relu'?");
  CHECK(refused(joined({kConv, kNorm, R"({"name": "a", "layer": "activation", "quantized": 1})", kEnd})) ==
        "node 'a', key 'quantized': must be true or false");
  CHECK(refused(joined({kConv, kNorm, R"({"name": "relu", "layer": "activation", "inputs": ["bn", "conv"]})", kEnd})) ==
        "node 'relu', key 'inputs': has 2, activation reads 1");
  CHECK(refused(joined({kConv, kNorm, R"({"name": "relu", "layer": "activation", "inputs": ["gone"]})", kEnd})) ==
        "node 'bn': is read by no other node");
  CHECK(refused(joined({kConv, R"({"name": "bn", "layer": "batch_norm", "inputs": ["gone"]})", kRelu, kEnd})) ==
        "node 'bn', key 'inputs': no node before it is called 'gone'");
  CHECK(refused(joined({kConv, kNorm, R"({"name": "c2", "layer": "conv2d", "out": 5})",
                        R"({"name": "bn2", "layer": "batch_norm"})",
                        R"({"name": "add", "layer": "add", "inputs": ["bn2", "bn"]})", kRelu, kEnd})) ==
        "node 'add': 'c2' and 'bn' differ in shape");
  CHECK(refused(joined({kNorm, kRelu, kEnd})) == "node 'bn': cannot read the image; put a conv2d before it");
  CHECK(refused(joined({kConv, kNorm, kRelu})) == "node 'relu': is the last one and must give a number per class");
  CHECK(refused(joined({kConv, kNorm, R"({"name": "s", "layer": "add", "inputs": ["bn", "bn"]})", kEnd})) ==
        "node 's', key 'inputs': 'bn' is there twice");
  CHECK(refused(joined({kConv, kRelu, R"({"name": "bn", "layer": "batch_nrom"})", kEnd}))
            .starts_with("node 'bn', key 'layer': 'batch_nrom' is no kind of layer"));
}

TEST_CASE("an error has the number of the node as written") {
  const std::string nodes = joined(
      {kConv, kNorm, kRelu, R"({"name": "wide", "layer": "conv2d", "out": 4, "kernel": 99, "padding": 0})", kEnd});
  CHECK(refused_node(nodes) == 3);
  CHECK(fuse_layers(spec_of(nodes)).spec.nodes[2].name == "wide");
  CHECK(refused_node(joined({kConv, kNorm, kRelu})) == 2);
}

}  // namespace bsq::test
