// The quantizer of signed numbers as a node: when it is there, what it may read, who counts its bits; and where
// quant.signed puts one.
#include "engine/network/layers/quantize.h"

#include "engine/network/integer_inputs.h"
#include "engine/network/layer_fusion.h"
#include "engine/network/layer_kinds.h"
#include "engine/network/multiplications.h"
#include "engine/network/quantize_signed.h"
#include "tests/support/catch.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {

using nlohmann::ordered_json;
using NameList = std::vector<std::string>;

constexpr Quantizer kSignedStage{.activation = Activation::lsq, .act_bits = 3, .quantizes_signed = true};

/// A bottleneck that a convolution and a sum read, as in MobileNetV2.
constexpr const char* kSignedBlock = R"(
    {"name": "conv1", "layer": "conv2d", "inputs": ["image"], "out": 4, "quantized": true},
    {"name": "bn1", "layer": "norm_act", "activation": "none"},
    {"name": "q", "layer": "quantize"},
    {"name": "conv2", "layer": "conv2d", "out": 4, "quantized": true},
    {"name": "bn2", "layer": "norm_act", "quantized": true},
    {"name": "conv3", "layer": "conv2d", "out": 4, "quantized": true},
    {"name": "bn3", "layer": "norm_act", "inputs": ["conv3", "q"], "quantized": true},
    {"name": "pool", "layer": "average_pool"},
    {"name": "fc", "layer": "linear", "out": 3, "quantized": true})";

NetworkSpec signed_spec(const std::string& nodes) {
  return spec_from_text(R"({"name": "net", "image": [8, 8, 3], "nodes": [)" + nodes + "]}");
}

std::string with_replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

NameList names_of_nodes(const Network& network) {
  NameList names;
  for (const Node& node : network.nodes()) names.push_back(node.name);
  return names;
}

NameList names_of_parameters(const Network& network) {
  NameList names;
  for (const ParameterSpec& parameter : network.parameters()) names.push_back(parameter.name);
  return names;
}

/// What a network of these nodes is signed_refusal with.
std::string signed_refusal(const std::string& nodes, const Quantizer& quantizer = kSignedStage) {
  return error_of(ErrorKind::usage, [&] { build_network(signed_spec(nodes), quantizer); });
}

/// The nodes that quantize, with what they read, and those that read them.
NameList placed_quantizers(const std::string& nodes, bool projections = false) {
  NetworkSpec spec = signed_spec(nodes);
  quantize_signed(spec, projections);
  NameList found;
  for (const NodeSpec& node : spec.nodes)
    for (const std::string& input : node.inputs)
      if (node.layer == "quantize" || input.find("quantize") != std::string::npos)
        found.push_back(node.name + " < " + input);
  return found;
}

}  // namespace

TEST_CASE("a quantize is there where a stage learns steps for signed numbers, and else its readers read its input") {
  const Network network = build_network(signed_spec(kSignedBlock), kSignedStage);
  CHECK(names_of_nodes(network) == NameList{"conv1", "bn1", "q", "conv2", "bn2", "conv3", "bn3", "pool", "fc"});
  REQUIRE(network.nodes()[2].layer->quantizer());
  const OutputQuantizer quantizer = *network.nodes()[2].layer->quantizer();
  CHECK(quantizer.name == "q");
  CHECK(quantizer.bits == 3);
  const ParameterSpec& step = network.parameters()[static_cast<std::size_t>(quantizer.clip)];
  const ParameterSpec& offset = network.parameters()[static_cast<std::size_t>(quantizer.offset)];
  CHECK(step.name == "q.step");
  CHECK(step.role == Role::quantizer_step);
  CHECK(step.constant > 0);
  CHECK(offset.name == "q.offset");
  for (const ParameterSpec& parameter : {step, offset}) {
    CHECK(parameter.group == ParameterGroup::plain);
    CHECK(parameter.optional);
    const ArenaLayout layout = lay_out({parameter}, ParameterGroup::plain);
    CHECK_FALSE(layout.slots[0].decay.weights);
  }
  CHECK_FALSE(depends_on_batch(network));

  for (const Quantizer& other : {Quantizer{}, Quantizer{.activation = Activation::lsq, .act_bits = 3},
                                 Quantizer{.act_bits = 3, .quantizes_signed = true},
                                 Quantizer{.activation = Activation::lsq, .quantizes_signed = true}}) {
    const Network without = build_network(signed_spec(kSignedBlock), other);
    CHECK(names_of_nodes(without) == NameList{"conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "pool", "fc"});
    CHECK(without.nodes()[2].inputs == std::vector<TensorId>{2});
    CHECK(without.nodes()[5].inputs == std::vector<TensorId>{5, 2});
    const Network plain = build_network(
        signed_spec(with_replaced(with_replaced(kSignedBlock, R"({"name": "q", "layer": "quantize"},)", ""),
                                  R"(["conv3", "q"])", R"(["conv3", "bn1"])")),
        other);
    CHECK(names_of_parameters(without) == names_of_parameters(plain));
    for (const char* name : {"q.step", "q.offset"})
      CHECK(std::ranges::count(without.unused(), name) == 1);  // a file may have them
  }
}

TEST_CASE("convolutions that read a quantize are counted at its bits, and are no sums of integers") {
  const Network network = build_network(signed_spec(kSignedBlock), kSignedStage);
  std::vector<int> bits;
  for (const Multiplication& found : multiplications(network)) bits.push_back(found.input_bits);
  CHECK(bits == std::vector<int>{0, 3, 3, 0});  // conv1 pixels, conv2 behind q, conv3 behind bn2, fc averages
  CHECK(input_bits(network)[4] == 0);           // bn2 reads sums that are no integers
  CHECK(inexact_sums(network, std::vector<int>(5, 8)).empty());
}

TEST_CASE("a quantize has bits of its own where its node says so, and none at 0") {
  const auto with_bits = [](int bits) {
    return build_network(signed_spec(with_replaced(kSignedBlock, R"("layer": "quantize")",
                                                   R"("layer": "quantize", "act_bits": )" + std::to_string(bits))),
                         kSignedStage);
  };
  CHECK(with_bits(7).nodes()[2].layer->quantizer()->bits == 7);
  CHECK(names_of_nodes(with_bits(0))[2] == "conv2");
  CHECK(signed_refusal(with_replaced(kSignedBlock, R"("layer": "quantize")", R"("layer": "quantize", "bits": 3)")) ==
        "node 'q', key 'bits': is no option of quantize, it has none");
}

TEST_CASE("what a quantize cannot read is named, whether the stage would quantize it or not") {
  for (const Quantizer& quantizer : {kSignedStage, Quantizer{}}) {
    CHECK(signed_refusal(
              with_replaced(kSignedBlock, R"("layer": "quantize")", R"("layer": "quantize", "inputs": ["conv1"])"),
              quantizer) == "node 'q': reads the conv2d 'conv1'; put a norm_act or a bias_act between them");
    CHECK(signed_refusal(
              with_replaced(kSignedBlock, R"("layer": "quantize")", R"("layer": "quantize", "inputs": ["image"])"),
              quantizer) == "node 'q': reads the image, which is never quantized; put it behind a layer");
    CHECK(signed_refusal(with_replaced(kSignedBlock, R"("layer": "quantize")",
                                       R"("layer": "quantize", "inputs": ["bn1", "conv1"])"),
                         quantizer) == "node 'q', key 'inputs': has 2, quantize reads 1");
  }
  CHECK(signed_refusal(with_replaced(kSignedBlock, R"("activation": "none")", R"("quantized": true)")) ==
        "node 'q': reads the norm_act 'bn1', whose numbers are quantized already; leave it out");
  // Errors of nodes behind one that is not there name these.
  CHECK(signed_refusal(with_replaced(kSignedBlock, R"({"name": "pool", "layer": "average_pool"},)", ""), Quantizer{})
            .starts_with("node 'fc': reads the image 'bn3'"));
}

TEST_CASE("a convolution of a network file gets a sum of one before a quantize that reads it") {
  const NetworkSpec fused =
      fuse_layers(signed_spec(with_replaced(kSignedBlock,
                                            R"({"name": "bn1", "layer": "norm_act", "activation": "none"},)", "")))
          .spec;
  CHECK(fused.nodes[1].name == "conv1.out");
  CHECK(fused.nodes[2].inputs == NameList{"conv1.out"});
  CHECK_NOTHROW(build_network(fused, kSignedStage));
}

TEST_CASE("quant.signed puts a quantize behind numbers of either sign that quantized layers read, and nowhere else") {
  const std::string bare = with_replaced(with_replaced(kSignedBlock, R"({"name": "q", "layer": "quantize"},)", ""),
                                         R"(["conv3", "q"])", R"(["conv3", "bn1"])");
  CHECK(placed_quantizers(bare) == NameList{"bn1.quantize < bn1", "conv2 < bn1.quantize", "bn3 < bn1.quantize"});
  CHECK(placed_quantizers(kSignedBlock) == NameList{"q < bn1"});  // is there already
  CHECK(placed_quantizers(with_replaced(bare, R"("activation": "none")", R"("activation": "relu")"))
            .empty());  // never below 0
  CHECK(placed_quantizers(with_replaced(bare, R"("activation": "none")", R"("activation": "lsq", "quantized": true)"))
            .empty());
  CHECK(placed_quantizers(with_replaced(bare, R"({"name": "conv2", "layer": "conv2d", "out": 4, "quantized": true})",
                                        R"({"name": "conv2", "layer": "conv2d", "out": 4})"))
            .empty());  // a float layer
  const std::string projection =
      with_replaced(bare, R"({"name": "conv2", "layer": "conv2d", "out": 4, "quantized": true})",
                    R"({"name": "conv2", "layer": "conv2d", "out": 4, "projection": true})");
  CHECK(placed_quantizers(projection).empty());
  CHECK(placed_quantizers(projection, true).size() == 3);
  // A sum has no activation if nothing else is said; pools and concatenations pass signs on.
  const std::string sums = R"(
    {"name": "conv1", "layer": "conv2d", "out": 4, "quantized": true}, {"name": "bn1", "layer": "norm_act"},
    {"name": "conv2", "layer": "conv2d", "out": 4, "quantized": true}, {"name": "bn2", "layer": "norm_act"},
    {"name": "sum", "layer": "add", "inputs": ["bn1", "bn2"]}, {"name": "max", "layer": "max_pool", "kernel": 2},
    {"name": "half", "layer": "max_pool", "inputs": ["bn1"], "kernel": 2},
    {"name": "both", "layer": "concat", "inputs": ["max", "half"]}, {"name": "dropped", "layer": "dropout", "rate": 0.5},
    {"name": "conv3", "layer": "conv2d", "out": 4, "quantized": true}, {"name": "bn3", "layer": "norm_act"},
    {"name": "flat", "layer": "flatten"}, {"name": "fc1", "layer": "linear", "out": 5, "quantized": true},
    {"name": "fc2", "layer": "linear", "out": 3, "quantized": true})";
  CHECK(placed_quantizers(sums) ==
        NameList{"dropped.quantize < dropped", "conv3 < dropped.quantize", "fc1.quantize < fc1", "fc2 < fc1.quantize"});
  NetworkSpec spec = signed_spec(sums);
  quantize_signed(spec, false);
  CHECK(build_network(spec, kSignedStage).nodes().size() == 16);
}

}  // namespace bsq::test
