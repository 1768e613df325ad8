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
  /// Of the quantized parameters from this one on.
  void set_widths(std::size_t first, const WidthRule& widths);
  StateId add_state(const StateSpec& spec);
  /// Names a tensor of files that counts the batches that a norm has seen.
  void add_batch_counter(const std::string& name) { batch_counters_.push_back(name); }
  /// Names a tensor that a file may have from training with another quantizer.
  void add_unused(const std::string& name) { unused_.push_back(name); }
  /// Appends a node, and sees which filters are normed; returns the tensor it writes.
  TensorId add(const std::string& name, std::unique_ptr<Layer> layer, const std::vector<TensorId>& inputs);

  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<ParameterSpec>& parameters() const { return parameters_; }
  const std::vector<StateSpec>& states() const { return states_; }
  const std::vector<std::string>& batch_counters() const { return batch_counters_; }
  const std::vector<std::string>& unused() const { return unused_; }
  /// The bytes that a packed file of it has beside bits and signs, at most: header, scales, and all that stays float.
  /// Whoever knows what else files say of it sets them; 0 until then.
  void set_packed_rest(std::int64_t bytes) { packed_rest_ = bytes; }
  std::int64_t packed_rest() const { return packed_rest_; }
  const Shape& image() const { return image_; }
  int num_classes() const;
  /// Shape and type of every tensor for a batch; images and activations are of `dtype`.
  std::vector<TensorSpec> tensors(int batch, DType dtype) const;
  /// The specs of a node's inputs, picked from tensors().
  std::vector<TensorSpec> inputs_of(const Node& node, const std::vector<TensorSpec>& tensors) const;

 private:
  Shape image_;
  std::vector<Node> nodes_;
  std::vector<ParameterSpec> parameters_;
  std::vector<StateSpec> states_;
  std::vector<std::string> batch_counters_;
  std::vector<std::string> unused_;
  std::int64_t packed_rest_ = 0;
};

/// Whether some activation is quantized by the maximum of its batch.
bool depends_on_batch(const Network& network);

}  // namespace bsq
