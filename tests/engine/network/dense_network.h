// Networks that join images, as the tests of their memory and of their gradients have them.
#pragma once

#include "engine/network/layer_kinds.h"
#include "tests/support/engine.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bsq::test {

/// A layer as another one, but that it keeps every tensor to itself.
class KeepsApart final : public Layer {
 public:
  explicit KeepsApart(std::unique_ptr<Layer> layer) : layer_(std::move(layer)) {}

  std::string_view kind() const override { return layer_->kind(); }
  TensorSpec output(std::span<const TensorSpec> inputs) const override { return layer_->output(inputs); }
  LayerMemory plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& use) const override {
    return layer_->plan(backend, inputs, use);
  }
  bool backward_reads_inputs() const override { return layer_->backward_reads_inputs(); }
  void forward(const ForwardPass& pass) const override { layer_->forward(pass); }
  void backward(const BackwardPass& pass) const override { layer_->backward(pass); }

 private:
  std::unique_ptr<Layer> layer_;
};

/// The network of build_network(), with concats that copy all they join.
inline Network build_apart(const NetworkSpec& spec, const Quantizer& quantizer) {
  Network network(spec.image);
  std::map<std::string, TensorId> tensors = {{kImage, 0}};
  for (const NodeSpec& node : spec.nodes) {
    std::vector<TensorId> ids;
    std::vector<TensorSpec> inputs;
    for (const std::string& input : node.inputs) {
      ids.push_back(tensors.at(input));
      inputs.push_back(network.tensors(1, DType::f32)[static_cast<std::size_t>(ids.back())]);
    }
    const int number = static_cast<int>(network.nodes().size());
    const auto kind =
        std::ranges::find_if(layer_kinds(), [&](const LayerKind& known) { return node.layer == known.name; });
    std::unique_ptr<Layer> layer = kind->make({network, node, number, ids, inputs, quantizer});
    if (node.layer == "concat") layer = std::make_unique<KeepsApart>(std::move(layer));
    tensors[node.name] = network.add(node.name, std::move(layer), ids);
  }
  return network;
}

/// Nodes as JSON, and the head behind them: a norm, pooling and three classes.
inline NetworkSpec with_head(const std::string& nodes) {
  return spec_from_text(R"({"name": "joins", "image": [6, 6, 3], "nodes": [)" + nodes + R"(,
    {"name": "bn", "layer": "norm_act"}, {"name": "pool", "layer": "average_pool"},
    {"name": "fc", "layer": "linear", "out": 3, "quantized": true}]})");
}

/// A layer of a dense block: norm and convolution of `before`, four channels, and both side by side. A norm with
/// quantized activations where the network has some.
inline std::string dense_layer(const std::string& name, const std::string& before, const std::string& extra = "") {
  return R"({"name": ")" + name + R"(.bn", "layer": "norm_act", "quantized": true, "inputs": [")" + before + R"("]},
    {"name": ")" +
         name + R"(.conv", "layer": "conv2d", "out": 4, "quantized": true},)" + extra + R"(
    {"name": ")" +
         name + R"(", "layer": "concat", "inputs": [")" + before + R"(", ")" +
         (extra.empty() ? name + ".conv" : name + ".drop") + R"("]})";
}

inline const std::string kStem = R"({"name": "stem", "layer": "conv2d", "out": 8, "quantized": true},)";

/// The stem's 8 channels and three times 4.
inline NetworkSpec dense_block() {
  return with_head(kStem + dense_layer("a", "stem") + "," + dense_layer("b", "a") + "," + dense_layer("c", "b"));
}

/// Of a layer of the dense block: drops some of its new channels.
inline std::string drop(const std::string& name, double rate) {
  return R"({"name": ")" + name + R"(.drop", "layer": "dropout", "rate": )" + std::to_string(rate) + "},";
}

/// The same with dropout, of images and of a vector.
inline NetworkSpec dense_block_with_dropout() {
  NetworkSpec spec =
      with_head(kStem + dense_layer("a", "stem", drop("a", 0.3)) + "," + dense_layer("b", "a", drop("b", 0.5)));
  spec.nodes.insert(spec.nodes.end() - 1, {"drop", "dropout", {"pool"}, {{"rate", 0.4}}});
  spec.nodes.back().inputs = {"drop"};
  return spec;
}

}  // namespace bsq::test
