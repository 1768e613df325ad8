// A network with every kind of pooling, on images of 8 x 8.
#pragma once

#include "engine/network/layer_kinds.h"

namespace bsq::test {

/// Two poolings read one tensor; the windows of the last one share rows and columns.
inline NetworkSpec pooling_spec() {
  return spec_from_text(R"({"name": "pools", "image": [8, 8, 3], "nodes": [
    {"name": "conv1", "layer": "conv2d", "out": 4, "kernel": 1, "quantized": true},
    {"name": "bn1", "layer": "norm_act", "activation": "relu6", "quantized": true},
    {"name": "largest", "layer": "max_pool", "kernel": 3, "stride": 2, "padding": 1},
    {"name": "mean", "layer": "average_pool", "inputs": ["bn1"], "kernel": 2},
    {"name": "conv2", "layer": "conv2d", "inputs": ["largest"], "out": 4, "quantized": true},
    {"name": "bn2", "layer": "norm_act", "inputs": ["conv2", "mean"], "activation": "none"},
    {"name": "nine", "layer": "average_pool", "out": 3},
    {"name": "flat", "layer": "flatten"},
    {"name": "hidden", "layer": "linear", "out": 5, "quantized": true},
    {"name": "fc", "layer": "linear", "out": 3, "quantized": true}]})");
}

/// Levels are pooled, windows reach beyond the image, and the classifier reads levels.
inline NetworkSpec level_pooling_spec() {
  return spec_from_text(R"({"name": "levels", "image": [8, 8, 3], "nodes": [
    {"name": "conv1", "layer": "conv2d", "out": 6, "quantized": true},
    {"name": "bn1", "layer": "norm_act", "activation": "relu6", "quantized": true},
    {"name": "pool1", "layer": "max_pool", "kernel": 3, "stride": 2, "ceil": true},
    {"name": "conv2", "layer": "conv2d", "out": 5, "quantized": true},
    {"name": "bn2", "layer": "norm_act", "activation": "relu6", "quantized": true},
    {"name": "pool2", "layer": "max_pool", "kernel": 2},
    {"name": "flat", "layer": "flatten"},
    {"name": "fc", "layer": "linear", "out": 3, "quantized": true}]})");
}

}  // namespace bsq::test
