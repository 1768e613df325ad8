// Networks as data: there and back through JSON, what makes a spec impossible, and what layers are made of.
#include "engine/network/layer_kinds.h"
#include "tests/support/catch.h"
#include "tests/support/files.h"

#include <algorithm>
#include <cmath>

namespace bsq::test {
namespace {

using nlohmann::ordered_json;

/// A convolution, a norm, a second one of each, pooling and a classifier.
ordered_json chain_json() {
  return ordered_json::parse(R"({"name": "chain", "image": [8, 8, 3], "nodes": [
    {"name": "conv1", "layer": "conv2d", "out": 4, "quantized": true},
    {"name": "bn1", "layer": "norm_act"},
    {"name": "conv2", "layer": "conv2d", "out": 4, "kernel": 1, "quantized": false, "initializer": "torch_default"},
    {"name": "bn2", "layer": "norm_act", "inputs": ["conv2", "bn1"], "quantized": true},
    {"name": "pool", "layer": "average_pool"},
    {"name": "fc", "layer": "linear", "out": 3, "quantized": true}]})");
}

std::string refused(const std::function<void(ordered_json&)>& change) {
  ordered_json json = chain_json();
  change(json);
  return error_of(ErrorKind::usage, [&] { build_network(spec_from_json(json)); });
}

/// The message where this key of this node is another one.
std::string refused(int node, const char* key, const ordered_json& value) {
  return refused([&](ordered_json& json) { json["nodes"][static_cast<std::size_t>(node)][key] = value; });
}

const ParameterSpec& parameter(const Network& network, const std::string& name) {
  const auto& all = network.parameters();
  const auto found = std::find_if(all.begin(), all.end(), [&](const ParameterSpec& spec) { return spec.name == name; });
  REQUIRE(found != all.end());
  return *found;
}

}  // namespace

TEST_CASE("a spec comes back from its JSON, and a node without inputs reads the one before it") {
  const NetworkSpec spec = spec_from_json(chain_json());
  CHECK(spec.name == "chain");
  CHECK(spec.image == Shape({8, 8, 3}));
  REQUIRE(spec.nodes.size() == 6);
  CHECK(spec.nodes[0].inputs == std::vector<std::string>{"image"});
  CHECK(spec.nodes[1].inputs == std::vector<std::string>{"conv1"});
  CHECK(spec.nodes[3].inputs == std::vector<std::string>{"conv2", "bn1"});
  CHECK(spec.nodes[2].options ==
        ordered_json({{"out", 4}, {"kernel", 1}, {"quantized", false}, {"initializer", "torch_default"}}));
  const std::string text = to_json(spec).dump();
  CHECK(to_json(spec_from_text(text)).dump() == text);
}

TEST_CASE("a network is made of its spec: names, groups, start values and roles of parameters and states") {
  const Network network = build_network(spec_from_json(chain_json()),
                                        {.activation = Activation::pact, .act_bits = 3, .static_scales = true});
  std::vector<std::string> names;
  for (const ParameterSpec& spec : network.parameters()) names.push_back(spec.name);
  CHECK(names == std::vector<std::string>{"conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight", "bn2.weight",
                                          "bn2.bias", "bn2.act.alpha", "fc.weight", "fc.bias"});
  CHECK(parameter(network, "conv1.weight").group == ParameterGroup::quantized);
  CHECK(parameter(network, "conv1.weight").shape == Shape({4, 3, 3, 3}));
  CHECK(parameter(network, "conv1.weight").initializer == Initializer::he_fan_out);
  CHECK(parameter(network, "conv2.weight").group == ParameterGroup::plain);
  CHECK(parameter(network, "conv2.weight").initializer == Initializer::torch_default);
  CHECK(parameter(network, "fc.bias").role == Role::bias);
  CHECK(parameter(network, "bn1.weight").role == Role::norm_gamma);
  CHECK(parameter(network, "bn2.act.alpha").role == Role::clip);
  CHECK(parameter(network, "bn2.act.alpha").optional);
  REQUIRE(network.states().size() == 5);
  CHECK(network.states()[4].name == "bn2.act.act_scale");
  CHECK(network.states()[4].role == Role::act_scale);
  CHECK(network.states()[4].optional);
  CHECK_FALSE(network.states()[0].optional);
  CHECK(network.batch_counters() == std::vector<std::string>{"bn1.num_batches_tracked", "bn2.num_batches_tracked"});
  CHECK(network.num_classes() == 3);
  const auto quantizer = network.nodes()[3].layer->quantizer();
  REQUIRE(quantizer);
  CHECK(quantizer->bits == 3);
  CHECK(quantizer->name == "bn2.act");
  CHECK(quantizer->act_scale == 4);
  CHECK_FALSE(network.nodes()[1].layer->quantizer());
  CHECK_FALSE(build_network(spec_from_json(chain_json())).nodes()[3].layer->quantizer());  // of 0 bits
}

TEST_CASE("filters of groups have the channels of one, and start from those that an output reads") {
  ordered_json json = chain_json();
  json["nodes"][2]["groups"] = 2;
  const Network network = build_network(spec_from_json(json));
  const ParameterSpec& weight = parameter(network, "conv2.weight");
  CHECK(weight.shape == Shape({4, 1, 1, 2}));
  CHECK(weight.fan_in == 2);
  CHECK(file_shape(weight.shape) == std::vector<std::int64_t>{4, 2, 1, 1});
  const TensorSpec input{{5, 8, 8, 4}, DType::f32};
  CHECK(network.nodes()[2].layer->flops({&input, 1}) == 2.0 * 5 * 64 * 4 * 2);
  const std::vector<float> values = initial_values(weight, 1);
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  CHECK(std::max(-*least, *most) <= std::sqrt(0.5F));
  CHECK(std::max(-*least, *most) > 0.5F);  // of a fan-in of 4 all would be below
}

TEST_CASE("an option that is wrong is named with its node and key") {
  CHECK(refused(0, "out", 0) == "node 'conv1', key 'out': must be an integer in 1..65536");
  CHECK(refused(0, "out", "many") == "node 'conv1', key 'out': must be an integer in 1..65536");
  CHECK(refused(0, "out", 1.5) == "node 'conv1', key 'out': must be an integer in 1..65536");
  CHECK(refused([](ordered_json& json) { json["nodes"][0].erase("out"); }) ==
        "node 'conv1', key 'out': is missing; it must be an integer in 1..65536");
  CHECK(refused(0, "quantized", 1) == "node 'conv1', key 'quantized': must be true or false");
  CHECK(refused(0, "kernal", 3) ==
        "node 'conv1', key 'kernal': is no option of conv2d, it has out, kernel, stride, padding, groups, quantized, "
        "projection, bias, bias_quantized, initializer, bias_initializer; did you mean 'kernel'?");
  CHECK(refused(4, "outs", 3) ==
        "node 'pool', key 'outs': is no option of average_pool, it has kernel, out; did you mean 'out'?");
  CHECK(refused([](ordered_json& json) {
          json["nodes"][0].update({{"kernel", 11}, {"padding", 1}});
        }) == "node 'conv1', key 'kernel': 11 is larger than the image of 8x8 it reads");
  const std::string no_divisor = "do not divide 4 channels in and 4 out; use a divisor of both";
  CHECK(refused(2, "groups", 3) == "node 'conv2', key 'groups': 3 " + no_divisor);
  CHECK(refused(2, "groups", 8) == "node 'conv2', key 'groups': 8 " + no_divisor);
  CHECK(refused(2, "groups", 0) == "node 'conv2', key 'groups': must be an integer in 1..65536");
  CHECK(refused(0, "groups", 3) ==
        "node 'conv1', key 'groups': 3 do not divide 3 channels in and 4 out; use a divisor of both");
  CHECK(refused(0, "padding", 3) == "node 'conv1', key 'padding': must be an integer in 0..2");
  CHECK(refused(1, "activation", "tanh") ==
        "node 'bn1', key 'activation': must be one of none, relu, relu6, pact, lsq, configured, configured_relu6");
  CHECK(refused(1, "activation", "rely") ==
        "node 'bn1', key 'activation': must be one of none, relu, relu6, pact, lsq, configured, configured_relu6; did "
        "you "
        "mean 'relu'?");
  CHECK(refused([](ordered_json& json) { json["nodes"][3]["activation"] = "none"; }) ==
        "node 'bn2', key 'quantized': needs an activation");
  CHECK(
      refused(3, "layer", "norm") ==
      "node 'bn2', key 'layer': 'norm' is no kind of layer, they are conv2d, norm_act, bias_act, add, concat, dropout, "
      "max_pool, average_pool, flatten, linear, quantize");
  CHECK(refused(3, "options", ordered_json::object()) ==
        "node 'bn2', key 'options': must be a number, true, false or a word");
}

TEST_CASE("a convolution leaves its bias to the norm_act or bias_act that reads it") {
  ordered_json json = chain_json();
  json["nodes"][0]["bias"] = true;
  json["nodes"][1]["layer"] = "bias_act";
  json["nodes"][2].update({{"bias", true}});
  const Network network = build_network(spec_from_json(json));
  std::vector<std::string> names;
  for (const ParameterSpec& spec : network.parameters()) names.push_back(spec.name);
  CHECK(names == std::vector<std::string>{"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "bn2.weight",
                                          "bn2.bias", "fc.weight", "fc.bias"});
  CHECK(parameter(network, "conv1.bias").group == ParameterGroup::quantized);
  CHECK(parameter(network, "conv1.bias").shape == Shape({4}));
  CHECK(parameter(network, "conv1.bias").initializer == Initializer::constant);
  CHECK(parameter(network, "conv1.bias").role == Role::bias);
  CHECK(parameter(network, "conv2.bias").group == ParameterGroup::plain);
  CHECK(parameter(network, "conv2.bias").initializer == Initializer::torch_default);
  CHECK(parameter(network, "conv2.bias").fan_in == 4);
  CHECK(network.nodes()[0].layer->parameters() == std::vector<ParameterId>{0});
  CHECK(network.nodes()[1].layer->parameters() == std::vector<ParameterId>{1});
  CHECK(network.nodes()[3].layer->parameters() == std::vector<ParameterId>{4, 5, 3});

  const auto refuse = [&](const std::function<void(ordered_json&)>& change) {
    ordered_json changed = json;
    change(changed["nodes"]);
    return error_of(ErrorKind::usage, [&] { build_network(spec_from_json(changed)); });
  };
  CHECK(refuse([](ordered_json& nodes) {
          nodes[1] = {{"name", "bn1"}, {"layer", "norm_act"}};
        }) ==
        "node 'bn1': takes off the bias of the conv2d 'conv1', so that bits in it have no effect; set bias_quantized: "
        "false in 'conv1'");
  CHECK(refuse([](ordered_json& nodes) {
          nodes[0].update({{"bias", false}, {"bias_quantized", true}});
        }) == "node 'conv1', key 'bias_quantized': needs bias: true");
  CHECK(refuse([](ordered_json& nodes) { nodes[4]["inputs"] = {"conv2"}; }) ==
        "node 'pool': reads the conv2d 'conv2', which has a bias; put a bias_act between them");
  CHECK(refuse([](ordered_json& nodes) {
          nodes[3]["inputs"] = {"bn1", "conv2"};
        }) == "node 'bn2': reads the conv2d 'conv2', which has a bias; put a bias_act between them");
  CHECK(refuse([](ordered_json& nodes) {
          nodes[3] = {{"name", "bn2"}, {"layer", "add"}, {"inputs", {"conv1", "conv2"}}};
        }) == "node 'bn2': 'conv1' and 'conv2' both have a bias; put a bias_act behind the second");
  CHECK(refuse([](ordered_json& nodes) {
          nodes[2]["bias"] = false;
          nodes[3] = {{"name", "bn2"}, {"layer", "add"}, {"inputs", {"conv2", "conv1"}}};
        }) == "node 'bn2': reads the conv2d 'conv1', whose bias 'bn1' adds; let it read that");
}

TEST_CASE("a bias_act has the options of a norm_act without the norm's, and add those of a bias_act of two") {
  ordered_json json = chain_json();
  json["nodes"][3].update({{"layer", "add"}});
  const Quantizer quantizer{.activation = Activation::pact, .act_bits = 3, .static_scales = true};
  const Network network = build_network(spec_from_json(json), quantizer);
  CHECK(parameter(network, "bn2.act.alpha").role == Role::clip);
  REQUIRE(network.states().size() == 3);
  CHECK(network.states()[2].name == "bn2.act.act_scale");
  REQUIRE(network.nodes()[3].layer->quantizer());
  CHECK(network.nodes()[3].layer->quantizer()->bits == 3);
  CHECK(network.nodes()[3].layer->exchanged_statistics() == 1);
  json["nodes"][3].erase("quantized");
  CHECK_FALSE(build_network(spec_from_json(json), quantizer).nodes()[3].layer->quantizer());
  CHECK_FALSE(build_network(spec_from_json(json), quantizer).nodes()[3].layer->backward_reads_inputs());  // none
  const auto refuse = [&](const char* key, const ordered_json& value) {
    ordered_json changed = json;
    changed["nodes"][3][key] = value;
    return error_of(ErrorKind::usage, [&] { build_network(spec_from_json(changed)); });
  };
  CHECK(refuse("epsilon", 1e-3) ==
        "node 'bn2', key 'epsilon': is no option of add, it has quantized, activation, activation_name");
  CHECK(refuse("inputs", {"conv2"}) == "node 'bn2', key 'inputs': has 1, add reads 2");
}

TEST_CASE("a norm's epsilon and momentum can be chosen") {
  CHECK(refused(1, "epsilon", -1) == "node 'bn1', key 'epsilon': must be a number in 0..1");
  CHECK(refused(1, "momentum", 2) == "node 'bn1', key 'momentum': must be a number in 0..1");
}

TEST_CASE("an option may be a number that is no integer") {
  const NodeSpec node{"scale", "scale", {"pool"}, {{"factor", 0.25}, {"steps", 3}, {"word", "half"}, {"far", 2.5}}};
  NodeOptions options(4, node);
  CHECK(options.number("factor", 0, 1) == 0.25);
  CHECK(options.number("steps", 0, 3) == 3);
  CHECK(options.number("gone", 0, 1, 0.5) == 0.5);
  const auto refusal = [&](const char* key) {
    return error_of(ErrorKind::usage, [&] { options.number(key, 0, 1.5); });
  };
  CHECK(refusal("gone") == "node 'scale', key 'gone': is missing; it must be a number in 0..1.5");
  CHECK(refusal("word") == "node 'scale', key 'word': must be a number in 0..1.5");
  CHECK(refusal("far") == "node 'scale', key 'far': must be a number in 0..1.5");
  CHECK_NOTHROW(options.finish());
}

TEST_CASE("nodes that do not fit each other are refused before anything runs") {
  CHECK(refused(3, "inputs", {"conv2", "gone"}) == "node 'bn2', key 'inputs': no node before it is called 'gone'");
  CHECK(refused(3, "inputs", {"conv2", "conv2"}) == "node 'bn2', key 'inputs': 'conv2' is there twice");
  CHECK(refused(3, "inputs", "conv2") == "node 'bn2', key 'inputs': must be a list of names, such as [image]");
  CHECK(refused(4, "inputs", {"bn2", "bn1"}) == "node 'pool', key 'inputs': has 2, average_pool reads 1");
  CHECK(refused(1, "name", "conv1") == "node 2, key 'name': 'conv1' is there twice");
  CHECK(refused(1, "name", "image") == "node 2, key 'name': 'image' is the network's input");
  CHECK(refused(1, "name", "a b") == "node 2, key 'name': must be a name of letters, digits, and the signs . _ -");
  CHECK(refused(2, "out", 5) == "node 'bn2': 'conv2' and 'bn1' differ in shape");
  CHECK(refused(2, "inputs", {"conv1"}) ==
        "node 'conv2': reads the conv2d 'conv1'; put a norm_act or bias_act between them");
  CHECK(refused(5, "inputs", {"bn2"}) == "node 'fc': reads the image 'bn2'; put an average_pool or a flatten between");
  CHECK(refused([](ordered_json& json) {
          json["nodes"] = ordered_json::parse(R"([{"name": "bn", "layer": "norm_act"},
                                                  {"name": "pool", "layer": "average_pool"},
                                                  {"name": "fc", "layer": "linear", "out": 3}])");
        }) == "node 'bn': cannot read the image; put a conv2d before it");
  CHECK(refused([](ordered_json& json) {
          json["nodes"].erase(5);
          json["nodes"].erase(4);
        }) == "node 'bn2': is the last one and must give a number per class");
  CHECK(refused([](ordered_json& json) { json["nodes"][4]["inputs"] = {"bn1"}; }) ==
        "node 'bn2': is read by no other node");
  CHECK(refused([](ordered_json& json) {
          json["nodes"][1]["activation"] = json["nodes"][3]["activation"] = "pact";
          json["nodes"][1]["activation_name"] = json["nodes"][3]["activation_name"] = "act";
        }) == "key 'nodes': two parameters or states would be called 'act.alpha'");
  CHECK(refused([](ordered_json& json) { json["nodes"][0]["quantized"] = json["nodes"][5]["quantized"] = false; }) ==
        "key 'nodes': no conv2d or linear has quantized: true");
}

TEST_CASE("concat joins two images or more of one size, and dropout has a rate") {
  const auto with = [](const char* node) {
    return refused([&](ordered_json& json) {
      auto& nodes = json["nodes"];
      nodes.insert(nodes.begin() + 2, ordered_json::parse(node));
      nodes[3]["inputs"] = {nodes[2]["name"]};
    });
  };
  const std::string rate = "node 'd', key 'rate': ";
  CHECK(with(R"({"name": "d", "layer": "dropout"})") == rate + "is missing; it must be a number in 0..1");
  CHECK(with(R"({"name": "d", "layer": "dropout", "rate": 1.5})") == rate + "must be a number in 0..1");
  CHECK(with(R"({"name": "d", "layer": "dropout", "rate": 0.5, "p": 1})") ==
        "node 'd', key 'p': is no option of dropout, it has rate");
  CHECK(with(R"({"name": "d", "layer": "dropout", "rate": 0.5, "inputs": ["conv1"]})") ==
        "node 'conv2': reads the dropout 'd'; put a norm_act or bias_act between them");
  CHECK(with(R"({"name": "d", "layer": "dropout", "rate": 0.5, "inputs": ["image"]})") ==
        "node 'd': cannot read the image; put a conv2d before it");
  CHECK(with(R"({"name": "c", "layer": "concat"})") == "node 'c', key 'inputs': has 1, concat reads 2 or more");
  CHECK(refused([](ordered_json& json) {
          auto& nodes = json["nodes"];
          nodes[2]["stride"] = 2;
          nodes[3] = ordered_json::parse(R"({"name": "c", "layer": "concat", "inputs": ["bn1", "conv2"]})");
        }) == "node 'c': 'bn1' is 8x8 and 'conv2' 4x4; it joins images of one size");
  CHECK(refused([](ordered_json& json) {
          json["nodes"].insert(json["nodes"].begin() + 5,
                               ordered_json::parse(R"({"name": "c", "layer": "concat", "inputs": ["bn2", "pool"]})"));
        }) == "node 'c': 'pool' is no image that concat can read");
}

TEST_CASE("what is no spec at all") {
  const auto refuse = [](const char* text) { return error_of(ErrorKind::usage, [&] { spec_from_text(text); }); };
  CHECK(refuse("{") == "is no JSON");
  CHECK(refuse("[]") == "must be a map with name, image and nodes");
  CHECK(refuse("{}") == "key 'nodes': must be a list of nodes");
  CHECK(refuse(R"({"nodes": []})") == "key 'nodes': must be a list of nodes");
  CHECK(refuse(R"({"nodes": [7]})") == "node 1: must be a map with name, layer and the options of the layer");
  CHECK(refuse(R"({"nodes": [{"layer": "conv2d"}]})") == "node 1, key 'name': is missing");
  CHECK(refuse(R"({"image": [8, 8], "nodes": []})") ==
        "key 'image': must be [height, width, channels], of 3 channels or 1");
  CHECK(refuse(R"({"image": [8, 8, 2], "nodes": []})") ==
        "key 'image': must be [height, width, channels], of 3 channels or 1");
  CHECK(refuse(R"({"image": [0, 8, 3], "nodes": []})") ==
        "key 'image': must be [height, width, channels], of 3 channels or 1");
  CHECK(refuse(R"({"imgae": [8, 8, 3]})") == "key 'imgae': is unknown; did you mean 'image'?");
  CHECK(error_of(ErrorKind::usage, [] { build_network({}); }) == "key 'image': is missing");
}

}  // namespace bsq::test
