// A network is a flat list of nodes in topological order: no nested blocks, no tape.
//
// Forward walks the list, backward walks it reversed. A Network is only a description, cheap to copy; memory belongs to
// the Executor.
#pragma once

#include "engine/network/layer.h"

#include <memory>
#include <string>
#include <vector>

namespace bsq {

/// Tensor 0 is the network's input; node i writes tensor i + 1.
using TensorId = int;

struct Node {
  std::string name;                    // the convolution's or norm's PyTorch module: layer1.0.conv1
  std::shared_ptr<const Layer> layer;  // copies of a network share it
  std::vector<TensorId> inputs;
};

class Network {
 public:
  /// image: [H, W, C] of one sample.
  explicit Network(const Shape& image) : image_(image) {}

  ParameterId add_parameter(const ParameterSpec& spec);
  StateId add_state(const StateSpec& spec);
  /// Appends a node; returns the tensor it writes.
  TensorId add(const std::string& name, std::unique_ptr<Layer> layer, const std::vector<TensorId>& inputs);

  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<ParameterSpec>& parameters() const { return parameters_; }
  const std::vector<StateSpec>& states() const { return states_; }
  const Shape& image() const { return image_; }
  /// For images of another size: parameters are the same.
  void set_image(const Shape& image) { image_ = image; }
  /// Shape and type of every tensor for a batch; images and activations are of `dtype`.
  std::vector<TensorSpec> tensors(int batch, DType dtype) const;
  /// The specs of a node's inputs, picked from tensors().
  std::vector<TensorSpec> inputs_of(const Node& node, const std::vector<TensorSpec>& tensors) const;

 private:
  Shape image_;
  std::vector<Node> nodes_;
  std::vector<ParameterSpec> parameters_;
  std::vector<StateSpec> states_;
};

}  // namespace bsq
