// A network of the engine as an ONNX graph: every node becomes one or a few ONNX nodes.
//
// Input `images` [N, 3, H, W] (normalised, N is any), output `logits` [N, classes]; layouts are PyTorch's. Quantized
// weights stay the integers they are: DequantizeLinear (onnx) or IntQuant (qonnx) gives their values. Batch norm stays
// a node of its own. An activation quantizer divides by the tensor's maximum: that of each batch (METHOD 6), or if
// the network has calibrated scales (METHOD 11) the number of the model, larger values being clipped to it.
#pragma once

#include "engine/model/stored_weights.h"
#include "engine/network/network.h"
#include "tools/export/onnx/graph.h"

#include <optional>
#include <string>

namespace bsq {

struct OnnxOptions {
  bool qonnx = false;                   // IntQuant nodes of exact widths
  std::optional<int> opset = {};        // default: 19, or the first that has the types
  OnnxType narrowest = OnnxType::int8;  // of weights; int4 and int2 save bytes, and no runtime multiplies them faster
};

/// `model`: the file that all that is not quantized is read from. Throws Error(usage) if the opset has no type for a
/// bit width.
OnnxModel network_graph(const Network& network, const TensorFile& model, const Weights& weights,
                        const OnnxOptions& options);

constexpr int kUsualOpset = 19;  // the first that the evaluator of the package onnx has
int ir_version_of(int opset);
/// The type of n-bit weights, within +-(2^n - 1): no narrower than `narrowest`.
OnnxType container_of(int bits, OnnxType narrowest);
/// The type of activation levels 0 .. 2^bits - 1. Up to 7 bits INT8, which is all that TensorRT has.
OnnxType level_type_of(int act_bits);

/// The name of the ONNX node that rounds the activations this node of the network writes; empty if none does.
std::string rounding_node(const Node& node);

}  // namespace bsq
