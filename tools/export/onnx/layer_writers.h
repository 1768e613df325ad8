// The table of layers that have a form in ONNX: one line per kind, by the names of engine/network/layer_kinds.cpp.
#pragma once

#include "engine/network/network.h"

#include <string>
#include <vector>

namespace bsq {

class GraphWriter;

struct OnnxLayer {
  const char* kind;
  /// Writes the nodes of a layer that reads these tensors; returns the name of the tensor that they write.
  std::string (*write)(GraphWriter&, const Node&, const std::vector<std::string>& inputs);
};

/// The writer for a node. Throws Error(internal) if its kind has none.
const OnnxLayer& onnx_layer(const Node& node);

}  // namespace bsq
