// Small networks that add without a norm: a stream of PreResNet, biases in place of the norm, and biases before one.
#pragma once

#include "engine/network/layer_kinds.h"

#include <fmt/format.h>

#include <string>

namespace bsq::test {

/// Nodes as JSON, and a head of three classes behind them.
inline Network network_of(const std::string& nodes, const Quantizer& quantizer, int size = 6) {
  return build_network(
      spec_from_text(fmt::format(R"({{"name": "small", "image": [{0}, {0}, 3], "nodes": [)", size) + nodes + R"(,
    {"name": "pool", "layer": "average_pool"}, {"name": "fc", "layer": "linear", "out": 3, "quantized": true}]})"),
      quantizer);
}

/// The stream is read by the norm of a block and by its sum; the second block has a projection of the raw stream.
inline Network preresnet(const Quantizer& quantizer, int size = 6) {
  return network_of(R"(
    {"name": "conv1", "layer": "conv2d", "out": 4, "quantized": true},
    {"name": "a.bn1", "layer": "norm_act", "quantized": true},
    {"name": "a.conv1", "layer": "conv2d", "out": 4, "quantized": true},
    {"name": "a.bn2", "layer": "norm_act", "quantized": true, "epsilon": 0.01, "momentum": 0.3},
    {"name": "a.conv2", "layer": "conv2d", "out": 4, "quantized": true},
    {"name": "a", "layer": "add", "inputs": ["a.conv2", "conv1"]},
    {"name": "b.project", "layer": "conv2d", "inputs": ["a"], "out": 8, "kernel": 1, "stride": 2},
    {"name": "b.bn1", "layer": "norm_act", "inputs": ["a"], "quantized": true},
    {"name": "b.conv1", "layer": "conv2d", "out": 8, "stride": 2, "quantized": true},
    {"name": "b", "layer": "add", "inputs": ["b.conv1", "b.project"]},
    {"name": "bn", "layer": "norm_act", "quantized": true})",
                    quantizer, size);
}

inline Network vgg(const Quantizer& quantizer, int size = 6) {
  return network_of(R"(
    {"name": "conv1", "layer": "conv2d", "out": 4, "bias": true, "quantized": true},
    {"name": "relu1", "layer": "bias_act"},
    {"name": "conv2", "layer": "conv2d", "out": 4, "bias": true, "quantized": true, "initializer": "torch_default"},
    {"name": "relu2", "layer": "bias_act", "quantized": true},
    {"name": "conv3", "layer": "conv2d", "out": 5, "bias": true, "quantized": true, "bias_quantized": false},
    {"name": "relu3", "layer": "bias_act", "quantized": true})",
                    quantizer, size);
}

inline Network vgg_bn(const Quantizer& quantizer, int size = 6) {
  return network_of(R"(
    {"name": "conv1", "layer": "conv2d", "out": 4, "bias": true, "quantized": true, "bias_quantized": false},
    {"name": "bn1", "layer": "norm_act"},
    {"name": "conv2", "layer": "conv2d", "out": 5, "bias": true, "quantized": true, "bias_quantized": false},
    {"name": "bn2", "layer": "norm_act", "quantized": true})",
                    quantizer, size);
}

}  // namespace bsq::test
