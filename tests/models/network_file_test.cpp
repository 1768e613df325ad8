// Networks in files: the example is ResNet-8, what is printed reads back, and errors say the line, the node and the
// key.
#include "models/network_file.h"

#include "engine/files/posix_file.h"
#include "engine/network/layer_kinds.h"
#include "models/resnet.h"
#include "tests/support/catch.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {

constexpr Shape kPixels = {32, 32, 3};

bool same_parameters(const Network& a, const Network& b) {
  const auto same = [](const ParameterSpec& x, const ParameterSpec& y) {
    return x.name == y.name && x.shape == y.shape && x.group == y.group && x.initializer == y.initializer &&
           x.fan_in == y.fan_in && x.role == y.role && x.optional == y.optional;
  };
  return std::equal(a.parameters().begin(), a.parameters().end(), b.parameters().begin(), b.parameters().end(), same);
}

/// The same nodes, whatever their options are spelled like.
bool same_nodes(const Network& a, const Network& b) {
  const auto same = [](const Node& x, const Node& y) {
    return x.name == y.name && x.layer->kind() == y.layer->kind() && x.inputs == y.inputs;
  };
  return std::equal(a.nodes().begin(), a.nodes().end(), b.nodes().begin(), b.nodes().end(), same);
}

std::string refused(const std::string& text) {
  const TemporaryFolder folder;
  put_text(folder / "net.yaml", text);
  const std::string message = error_of(ErrorKind::usage, [&] { read_network_file(folder / "net.yaml", kPixels); });
  const std::string path = (folder / "net.yaml").string();
  REQUIRE(message.starts_with(path));
  return message.substr(path.size());
}

}  // namespace

TEST_CASE("the example is ResNet-8, node for node, in every activation and width") {
  const std::filesystem::path file = std::filesystem::path(BSQ_SOURCE_DIR) / "configs/networks/resnet8.yaml";
  const NetworkSpec read = read_network_file(file, kPixels);
  const NetworkSpec made = resnet_spec({.depth = 8});
  CHECK(read.image == kPixels);
  CHECK(read.name == made.name);
  for (const Quantizer& quantizer :
       {Quantizer{}, Quantizer{Activation::pact, 2, false}, Quantizer{Activation::relu6, 4, true}}) {
    const Network a = build_network(read, quantizer), b = build_network(made, quantizer);
    CHECK(same_parameters(a, b));
    CHECK(same_nodes(a, b));
    CHECK(a.tensors(2, DType::f32).back().shape == Shape({2, 10}));
    REQUIRE(a.states().size() == b.states().size());
    for (std::size_t i = 0; i < a.states().size(); ++i) CHECK(a.states()[i].name == b.states()[i].name);
  }
}

TEST_CASE("the example of plain layers is put together, and all of it is quantized but the stem's activation") {
  const std::filesystem::path file = std::filesystem::path(BSQ_SOURCE_DIR) / "configs/networks/plain.yaml";
  const Network network = build_network(read_network_file(file, kPixels), {Activation::relu6, 4, false});
  std::vector<std::string> kinds;
  int quantizers = 0;
  for (const Node& node : network.nodes()) {
    kinds.emplace_back(node.layer->kind());
    quantizers += node.layer->quantizer() ? 1 : 0;
  }
  CHECK(kinds == std::vector<std::string>{"conv2d", "norm_act", "conv2d", "norm_act", "conv2d", "norm_act", "max_pool",
                                          "conv2d", "norm_act", "conv2d", "norm_act", "average_pool", "dropout",
                                          "linear"});
  CHECK(quantizers == 4);
  for (const ParameterSpec& spec : network.parameters())
    CHECK((spec.group == ParameterGroup::quantized) == (spec.shape.rank == 4 || spec.name.starts_with("fc.")));
}

TEST_CASE("what is printed of a network reads back as the same one") {
  const TemporaryFolder folder;
  const NetworkSpec made =
      resnet_spec({.depth = 14, .width = 3, .num_classes = 7, .image_height = 8, .image_width = 9});
  put_text(folder / "net.yaml", network_text(made));
  const NetworkSpec read = read_network_file(folder / "net.yaml", kPixels);
  CHECK(read.name == "resnet14");
  CHECK(read.image == Shape({8, 9, 3}));
  CHECK(to_json(read)["nodes"].dump() == to_json(made)["nodes"].dump());
  CHECK(network_text(read) == network_text(made));
}

TEST_CASE("an error names the line, the node and the key") {
  CHECK(refused("nodes:\n  - {name: a, layer: conv2d,\n     out: many}\n") ==
        ":3:6: node 'a', key 'out': must be an integer in 1..65536");
  CHECK(refused("nodes:\n  - name: a\n    layer: conv2d\n    out: 4\n    kernal: 3\n")
            .starts_with(":5:5: node 'a', key 'kernal': is no option of conv2d"));
  CHECK(refused("nodes:\n  - {name: a, layer: conv2d}\n") ==
        ":2:6: node 'a', key 'out': is missing; it must be an integer in 1..65536");
  CHECK(refused("nodes:\n  - {name: a, layer: conv2d, out: 4, quantized: true}\n  - {name: n, layer: norm_act}\n") ==
        ":3:6: node 'n': is the last one and must give a number per class");
  CHECK(refused("image: [32, 32]\nnodes: [{name: a, layer: conv2d}]\n") ==
        ":1:1: key 'image': must be [height, width, channels], of 3 channels or 1");
  CHECK(refused("name: a\nlayers: []\n") == ":2:1: key 'layers': is unknown");
  CHECK(refused("name: a\nnodes: []\n") == ":2:1: key 'nodes': must be a list of nodes");
  CHECK(refused("name: a\nname: b\n") == ":2:1: duplicate key 'name' (first at line 1)");
  CHECK(refused("nodes: [\n").find("not valid YAML") != std::string::npos);
  CHECK(refused("- a\n") == ":1:1: must be a map with name, image and nodes");
  CHECK(refused("settings: {depth: 8}\nnodes: [{name: a, layer: conv2d}]\n") ==
        ":1:1: key 'settings': are those of a family; leave them out");
  CHECK(error_of(ErrorKind::usage, [] { read_network_file("gone.yaml", kPixels); }).starts_with("gone.yaml: "));
}

TEST_CASE("quotes keep a word a word, and numbers are numbers") {
  const TemporaryFolder folder;
  put_text(folder / "net.yaml",
           "nodes:\n"
           "  - {name: \"1\", layer: conv2d, out: 4, quantized: true}\n"
           "  - {name: \"true\", layer: norm_act, inputs: [\"1\"]}\n"
           "  - {name: pool, layer: average_pool}\n"
           "  - {name: fc, layer: linear, out: 2}\n");
  const NetworkSpec spec = read_network_file(folder / "net.yaml", kPixels);
  CHECK(spec.nodes[1].inputs == std::vector<std::string>{"1"});
  put_text(folder / "again.yaml", network_text(spec));
  CHECK(to_json(read_network_file(folder / "again.yaml", kPixels))["nodes"] == to_json(spec)["nodes"]);
}

TEST_CASE("layers of PyTorch are put together, and errors are where they were written") {
  const TemporaryFolder folder;
  const std::string begin =
      "nodes:\n"
      "  - {name: conv1, layer: conv2d, out: 4, bias: true, quantized: true}\n"
      "  - {name: bn1, layer: batch_norm, epsilon: 0.001}\n"
      "  - name: relu1\n"
      "    layer: activation\n";
  const std::string end =
      "  - {name: pool, layer: average_pool}\n"
      "  - {name: fc, layer: linear, out: 3, quantized: true}\n";
  put_text(folder / "net.yaml", begin + "    quantized: true\n" + end);
  const NetworkSpec spec = read_network_file(folder / "net.yaml", kPixels);
  REQUIRE(spec.nodes.size() == 4);
  CHECK(spec.nodes[1].layer == "norm_act");
  CHECK(spec.nodes[1].options ==
        nlohmann::ordered_json({{"epsilon", 0.001}, {"quantized", true}, {"activation_name", "relu1"}}));
  // What is printed of it is as it is run, and reads back as the same.
  put_text(folder / "again.yaml", network_text(spec));
  CHECK(network_text(read_network_file(folder / "again.yaml", kPixels)) == network_text(spec));
  CHECK(refused(begin + "    kind: tanh\n" + end).starts_with(":6:5: node 'relu1', key 'kind': must be one of relu"));
  CHECK(refused(begin + "    quantized: 1\n" + end) == ":6:5: node 'relu1', key 'quantized': must be true or false");
  CHECK(refused(begin + "  - {name: wide, layer: conv2d, out: 4, kernel: 99, padding: 0}\n" + end)
            .starts_with(":6:41: node 'wide', key 'kernel': 99 is larger than the image"));
}

TEST_CASE("quantize: all gives layers their roles") {
  const TemporaryFolder folder;
  const std::string nodes =
      "nodes:\n"
      "  - {name: conv1, layer: conv2d, out: 4}\n"
      "  - {name: stem, layer: norm_act}\n"
      "  - {name: conv2, layer: conv2d, out: 4}\n"
      "  - {name: bn2, layer: batch_norm}\n"
      "  - {name: relu2, layer: activation}\n"
      "  - {name: pool, layer: average_pool}\n"
      "  - {name: fc, layer: linear, out: 3}\n";
  put_text(folder / "net.yaml", "quantize: all\n" + nodes);
  const NetworkSpec spec = read_network_file(folder / "net.yaml", kPixels);
  const Network network = build_network(spec, {.activation = Activation::relu6, .act_bits = 4});
  for (const ParameterSpec& parameter : network.parameters()) {
    const bool is_of_norm = parameter.role == Role::norm_gamma || parameter.role == Role::norm_beta;
    CHECK((parameter.group == ParameterGroup::plain) == is_of_norm);
  }
  CHECK_FALSE(network.nodes()[1].layer->quantizer());
  REQUIRE(network.nodes()[3].layer->quantizer());
  CHECK(network.nodes()[3].layer->quantizer()->name == "relu2");
  CHECK(refused("quantize: some\n" + nodes) == ":1:1: key 'quantize': must be all; leave it out if nodes say it");
  CHECK(refused(nodes) == ":1:1: key 'nodes': no conv2d or linear has quantized: true");
}

TEST_CASE("a network file is told from a configuration") {
  const TemporaryFolder folder;
  put_text(folder / "net.yaml", "nodes:\n  - {name: a, layer: conv2d, out: 4}\n");
  put_text(folder / "config.yaml", "model: {depth: 8}\n");
  CHECK(is_network_file(folder / "net.yaml"));
  CHECK_FALSE(is_network_file(folder / "config.yaml"));
}

}  // namespace bsq::test
