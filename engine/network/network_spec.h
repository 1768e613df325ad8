// A network as data: what a family of networks makes, what a network file holds, and what checkpoints carry.
//
// Nodes are in the order in which they run. Each writes one tensor, which later nodes read by the name of the node;
// `image` is what the network reads. layer_kinds.h lists the layers and their options.
#pragma once

#include "kernels/base/error.h"
#include "kernels/types.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace bsq {

inline constexpr const char* kImage = "image";

struct NodeSpec {
  std::string name;                                                   // PyTorch's module: layer1.0.conv1
  std::string layer;                                                  // its kind: conv2d
  std::vector<std::string> inputs;                                    // names of nodes before it, or `image`
  nlohmann::ordered_json options = nlohmann::ordered_json::object();  // {"out": 16, "quantized": true}
};

struct NetworkSpec {
  std::string name;  // resnet20
  /// The keys below `model` of the family that made it: {"depth": 20, "width": 16}. Empty if no family did.
  nlohmann::ordered_json settings = nlohmann::ordered_json::object();
  Shape image;  // [H, W, 3]; of rank 0: the size that the data have
  std::vector<NodeSpec> nodes;
};

/// Whether an activation of the network is that of the configuration, quant.activation.
bool has_configured_activation(const NetworkSpec& spec);

/// Whether an option says how many bits a node has. build_network reads these, whatever the kind of the node.
bool is_width_option(const std::string& key);

/// Something is wrong with a spec: which node, by number from 0, or -1; and which of its keys, or none.
class SpecError : public Error {
 public:
  SpecError(int node, const std::string& key, const std::string& what);
  /// An error of a node that has a name.
  SpecError(int node, const std::string& name, const std::string& key, const std::string& what);

  int node() const { return node_; }
  const std::string& key() const { return key_; }
  /// The message without the place.
  const std::string& problem() const { return problem_; }

 private:
  int node_;
  std::string key_;
  std::string problem_;
};

/// {"name": ..., "settings": {...}, "image": [32, 32, 3], "nodes": [{"name": "conv1", "layer": "conv2d", "out": 16},
/// ...]}: the options of a node beside its other keys; inputs if they are not the node before it.
nlohmann::ordered_json to_json(const NetworkSpec& spec);
/// Throws SpecError if keys are missing, unknown or of another type; layers and their options are not looked at.
/// A node without inputs reads the one before it.
NetworkSpec spec_from_json(const nlohmann::ordered_json& json);
/// The spec in a text of JSON.
NetworkSpec spec_from_text(const std::string& text);

/// Reads the options of one node; every error is a SpecError of that node.
class NodeOptions {
 public:
  NodeOptions(int number, const NodeSpec& node) : number_(number), node_(node) {}

  int integer(const std::string& key, int least, int most, std::optional<int> otherwise = {});
  /// A number that need not be an integer.
  double number(const std::string& key, double least, double most, std::optional<double> otherwise = {});
  bool flag(const std::string& key, bool otherwise);
  std::string one_of(const std::string& key, const std::vector<std::string>& words, const std::string& otherwise);
  std::string name(const std::string& key, const std::string& otherwise);
  bool has(const std::string& key) const { return node_.options.contains(key); }
  /// To be called last: refuses keys that nobody has asked for, but those of widths.
  void finish() const;
  [[noreturn]] void refuse(const std::string& key, const std::string& what) const;

 private:
  const nlohmann::ordered_json* find(const std::string& key);

  int number_;
  const NodeSpec& node_;
  std::vector<std::string> asked_;
};

}  // namespace bsq
