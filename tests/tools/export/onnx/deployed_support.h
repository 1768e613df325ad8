// Networks of every kind in their deployed form.
#pragma once

#include "engine/deployed/value_ranges.h"
#include "tests/support/bias_networks.h"
#include "tests/support/pooling_network.h"
#include "tests/tools/export/onnx/onnx_support.h"
#include "tools/export/onnx/deployed_graph.h"

#include <map>

namespace bsq::test {

struct DeployedCase {
  Deployment deployment;
  InputOptions input;
  std::vector<std::uint8_t> pictures;
};

/// Depthwise and grouped convolutions, linear bottlenecks, a joint of two streams, windows that are averaged, a hidden
/// linear layer.
inline Network mixed_network(const Quantizer& quantizer) {
  return build_network(spec_from_text(R"({"name": "mixed", "image": [8, 8, 3], "nodes": [
    {"name": "stem", "layer": "conv2d", "out": 6, "quantized": true},
    {"name": "stem.bn", "layer": "norm_act", "activation": "relu6"},
    {"name": "deep", "layer": "conv2d", "out": 6, "groups": 6, "stride": 2, "quantized": true},
    {"name": "deep.bn", "layer": "norm_act", "activation": "relu6", "quantized": true},
    {"name": "flat", "layer": "conv2d", "out": 4, "kernel": 1, "quantized": true},
    {"name": "flat.bn", "layer": "norm_act", "activation": "none"},
    {"name": "wide", "layer": "conv2d", "out": 8, "kernel": 1, "groups": 2, "quantized": true},
    {"name": "wide.bn", "layer": "norm_act", "activation": "relu6", "quantized": true},
    {"name": "back", "layer": "conv2d", "out": 4, "kernel": 1, "quantized": true},
    {"name": "back.bn", "layer": "norm_act", "inputs": ["back", "flat.bn"], "activation": "none"},
    {"name": "grown", "layer": "conv2d", "out": 3, "quantized": true},
    {"name": "joint", "layer": "concat", "inputs": ["back.bn", "grown"]},
    {"name": "joint.bn", "layer": "norm_act", "activation": "relu6", "quantized": true},
    {"name": "halved", "layer": "average_pool", "kernel": 2},
    {"name": "vector", "layer": "flatten"},
    {"name": "hidden", "layer": "linear", "out": 9, "quantized": true},
    {"name": "hidden.act", "layer": "bias_act", "activation": "relu6", "quantized": true},
    {"name": "fc", "layer": "linear", "out": 3, "quantized": true}]})"),
                       quantizer);
}

inline std::map<std::string, Network> deployed_networks() {
  const auto calibrated = [](Activation activation, int bits) { return Quantizer{activation, bits, true}; };
  const ResNetOptions resnet = tiny_resnet();
  const auto levels = [&](int bits) {
    return build_network(level_pooling_spec(), calibrated(Activation::relu6, bits));
  };
  const NetworkSpec spec = resnet_spec(resnet);
  return {{"resnet of 2 bits", build_network(spec, calibrated(Activation::pact, 2))},
          {"resnet of 3 bits, learned steps", build_network(spec, calibrated(Activation::lsq, 3))},
          {"resnet of 8 bits", build_network(spec, calibrated(Activation::relu6, 8))},
          {"preresnet", preresnet(calibrated(Activation::relu6, 4), 8)},
          {"vgg", vgg(calibrated(Activation::relu, 4), 8)},
          {"pools", levels(4)},
          {"mixed", mixed_network(calibrated(Activation::relu6, 4))}};
}

inline std::vector<std::string> deployed_case_names() {
  std::vector<std::string> names;
  for (const auto& [name, network] : deployed_networks()) names.push_back(name);
  return names;
}

/// Of mixed widths; on grids of ranges that other pictures have.
inline DeployedCase deployed_case(const std::string& name, ByteKind bytes = ByteKind::any_zero, int images = 4,
                                  const InputOptions& input = tiny_input()) {
  const Network network = deployed_networks().at(name);
  const TensorFile plain = random_plain(network);
  const Weights weights = fixed_weights(network, [](std::size_t slot) { return static_cast<int>(1 + slot % 8); });
  const auto backend = make_backend("cpu", {.threads = 1});
  const ImageSet train = tiny_pictures("to find ranges on", 24), test = tiny_pictures("to compare on", images);
  DeployedCase made{.deployment = {}, .input = input, .pictures = test.pixels};
  const DeploymentPlan plan = plan_deployment(network);
  INFO(plan.obstacle);
  REQUIRE(plan.obstacle.empty());
  const ValueRanges ranges = find_ranges(*backend, network, plan, plain, weights,
                                         {.images = train, .input = made.input, .batch_size = 8, .batches = 3});
  made.deployment = deploy(network, plan, ParameterNumbers(network, plain, *weights), ranges, made.input, bytes);
  return made;
}

}  // namespace bsq::test
