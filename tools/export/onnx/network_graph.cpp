// The walk over the nodes of a network.
#include "tools/export/onnx/network_graph.h"

#include "kernels/base/error.h"
#include "tools/export/onnx/graph_writer.h"
#include "tools/export/onnx/layer_writers.h"

#include <algorithm>

namespace bsq {

OnnxModel network_graph(const Network& network, const TensorFile& model, const Weights& weights,
                        const OnnxOptions& options) {
  GraphWriter writer(network, model, *weights, options);
  OnnxModel& graph = writer.model();
  const Shape& image = network.image();
  graph.input = {"images", {"N", image[2], image[0], image[1]}};
  std::vector<std::string> names = {graph.input.name};  // by TensorId
  for (const Node& node : network.nodes()) {
    std::vector<std::string> inputs;
    for (const TensorId input : node.inputs) inputs.push_back(names[static_cast<std::size_t>(input)]);
    names.push_back(onnx_layer(node).write(writer, node, inputs));
  }
  require(!graph.nodes.empty(), "a network without nodes");
  graph.nodes.back().outputs = {"logits"};
  graph.output = {"logits", {"N", std::int64_t{network.num_classes()}}};
  return std::move(graph);
}

std::string rounding_node(const Node& node) {
  const std::optional<OutputQuantizer> quantizer = node.layer->quantizer();
  return quantizer ? quantizer->name + ".round" : "";
}

}  // namespace bsq
