// Widths that a network says, what each layer reads, and which sums of integers float32 cannot hold.
#include "engine/network/integer_inputs.h"
#include "engine/network/layer_kinds.h"
#include "tests/support/catch.h"
#include "tests/support/files.h"

namespace bsq::test {
namespace {

using nlohmann::ordered_json;

/// A stem that reads pixels, a convolution of its integers, one of float activations, pooling and a classifier.
ordered_json chain(int channels = 4) {
  ordered_json json = ordered_json::parse(R"({"name": "chain", "image": [8, 8, 3], "nodes": [
    {"name": "conv1", "layer": "conv2d", "quantized": true},
    {"name": "bn1", "layer": "norm_act", "quantized": true},
    {"name": "conv2", "layer": "conv2d", "quantized": true},
    {"name": "bn2", "layer": "norm_act"},
    {"name": "conv3", "layer": "conv2d", "kernel": 1, "quantized": true},
    {"name": "bn3", "layer": "norm_act", "quantized": true},
    {"name": "pool", "layer": "average_pool"},
    {"name": "fc", "layer": "linear", "out": 3, "quantized": true}]})");
  for (const int node : {0, 2, 4}) json["nodes"][static_cast<std::size_t>(node)]["out"] = channels;
  return json;
}

Network network_with(int node, const ordered_json& options, const Quantizer& quantizer = {}) {
  ordered_json json = chain();
  json["nodes"][static_cast<std::size_t>(node)].update(options);
  return build_network(spec_from_json(json), quantizer);
}

std::string refused(int node, const ordered_json& options) {
  return error_of(ErrorKind::usage, [&] { network_with(node, options); });
}

}  // namespace

TEST_CASE("the widths that a node says are those of its weight and its bias") {
  const Network network = network_with(7, {{"weight_bits", 6}, {"max_bits", 7}});
  for (const ParameterSpec& parameter : network.parameters()) {
    INFO(parameter.name);
    CHECK(parameter.widths == (parameter.name.starts_with("fc.") ? WidthRule{6, 7, false} : WidthRule{}));
  }
}

TEST_CASE("what is not said of widths is that of the configuration") {
  const auto with = [](const WidthRule& widths) { return ParameterSpec{.name = "w", .shape = {1}, .widths = widths}; };
  CHECK(with({}).start_bits(5) == 5);
  CHECK(with({}).most_bits(7) == 7);
  CHECK(with({.start = 6}).start_bits(5) == 6);
  CHECK(with({.start = 6}).most_bits(4) == 6);
  CHECK(with({.start = 6}).most_bits(8) == 8);
  CHECK(with({.most = 3}).start_bits(5) == 3);
  CHECK(with({.most = 3}).start_bits(2) == 2);
  CHECK(with({.most = 3}).most_bits(8) == 3);
  CHECK(with({.start = 2, .fixed = true}).most_bits(8) == 2);
}

TEST_CASE("widths that mean nothing are refused with node and key") {
  CHECK(refused(1, {{"weight_bits", 8}}) ==
        "node 'bn1', key 'weight_bits': is of quantized weights, and this node has none");
  CHECK(refused(6, {{"fixed", true}, {"weight_bits", 8}}).starts_with("node 'pool', key 'fixed': is of quantized"));
  CHECK(refused(0, {{"act_bits", 8}}) ==
        "node 'conv1', key 'act_bits': is of quantized activations, and this node "
        "has none");
  CHECK(refused(3, {{"act_bits", 8}}) ==
        "node 'bn2', key 'act_bits': is of quantized activations, and this node has "
        "none");
  CHECK(refused(0, {{"fixed", true}}) == "node 'conv1', key 'fixed': needs weight_bits beside it");
  CHECK(refused(0, {{"weight_bits", 9}}) == "node 'conv1', key 'weight_bits': must be an integer in 1..8");
  CHECK(refused(0, {{"weight_bits", 6}, {"max_bits", 5}}) ==
        "node 'conv1', key 'max_bits': must be an integer in 6..8");
  CHECK(refused(0, {{"quantized", false}, {"max_bits", 5}}) ==
        "node 'conv1', key 'max_bits': is of quantized weights, and this node has none");
  CHECK(refused(1, {{"act_bits", 9}}) == "node 'bn1', key 'act_bits': must be an integer in 0..8");
  CHECK_THAT(refused(0, {{"weight_bit", 8}}), Catch::EndsWith("; did you mean 'weight_bits'?"));
  CHECK_NOTHROW(network_with(4, {{"projection", true}}));
}

TEST_CASE("activations have bits of their own where any are quantized") {
  const auto bits = [](const Network& network) { return network.nodes()[1].layer->quantizer(); };
  CHECK(bits(network_with(1, {{"act_bits", 7}}, {.act_bits = 3}))->bits == 7);
  CHECK_FALSE(bits(network_with(1, {{"act_bits", 0}}, {.act_bits = 3})));
  CHECK_FALSE(bits(network_with(1, {{"act_bits", 7}}, {.act_bits = 0})));
}

TEST_CASE("which layers read integers, and of how many bits") {
  CHECK(input_bits(network_with(1, {{"act_bits", 7}}, {.act_bits = 3})) == std::vector<int>{0, 0, 7, 7, 0, 0, 3, 0});
  CHECK(input_bits(build_network(spec_from_json(chain()))) == std::vector<int>(8, 0));
}

TEST_CASE("sums of integers that float32 may round are found by their largest value") {
  // conv2 sums 9 channels (2^8 - 1) (2^8 - 1): 28 channels stay below 2^24, 29 do not.
  const std::vector<int> eight(5, 8);
  const auto found = [&](int channels, int act_bits, const std::vector<int>& weight_bits) {
    return inexact_sums(build_network(spec_from_json(chain(channels)), {.act_bits = act_bits}), weight_bits);
  };
  CHECK(found(28, 8, eight).empty());
  const std::vector<InexactSums> sums = found(29, 8, eight);
  REQUIRE(sums.size() == 1);  // neither conv1, which reads pixels, nor conv3, which reads float numbers
  CHECK(sums[0].node == "conv2");
  CHECK(sums[0].largest == 9.0 * 29 * 255 * 255);
  CHECK(found(29, 8, {8, 7, 8, 8, 8}).empty());
  CHECK(found(29, 7, eight).empty());
  CHECK(found(29, 0, eight).empty());
  CHECK(found(400, 8, {32, 32, 32, 32, 32}).empty());  // float weights
}

}  // namespace bsq::test
