// The table, and the network that is made of a spec.
#include "engine/network/layer_kinds.h"

#include "engine/base/suggest.h"
#include "engine/network/layers/average_pool.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/linear.h"
#include "engine/network/layers/norm_act.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace bsq {
namespace {

constexpr std::array kKinds = {
    LayerKind{"conv2d", make_conv2d},
    LayerKind{"norm_act", make_norm_act},
    LayerKind{"average_pool", make_average_pool},
    LayerKind{"linear", make_linear},
};

const LayerKind& kind_of(const NodeSpec& node, int number) {
  std::vector<std::string> names;
  for (const LayerKind& kind : kKinds) {
    if (node.layer == kind.name) return kind;
    names.emplace_back(kind.name);
  }
  throw SpecError(number, node.name, "layer",
                  fmt::format("'{}' is no kind of layer, they are {}{}", node.layer, fmt::join(names, ", "),
                              did_you_mean(node.layer, names)));
}

class Builder {
 public:
  Builder(const NetworkSpec& spec, const Quantizer& quantizer)
      : spec_(spec), quantizer_(quantizer), network_(spec.image) {
    if (spec.image.rank != 3) throw SpecError(-1, "image", "is missing");
    tensors_.push_back({{1, spec.image[0], spec.image[1], spec.image[2]}, DType::f32});
  }

  Network build() {
    for (const NodeSpec& node : spec_.nodes) {
      add(node, static_cast<int>(network_.nodes().size()));
      ids_[node.name] = static_cast<TensorId>(network_.nodes().size());
    }
    check_readers();
    check_names();
    const Shape& logits = tensors_.back().shape;
    if (logits.rank != 2) refuse(network_.nodes().size() - 1, "is the last one and must give a number per class");
    const auto& parameters = network_.parameters();
    if (std::none_of(parameters.begin(), parameters.end(),
                     [](const ParameterSpec& spec) { return spec.group == ParameterGroup::quantized; }))
      throw SpecError(-1, "nodes", "no conv2d or linear has quantized: true");
    return std::move(network_);
  }

 private:
  [[noreturn]] void refuse(std::size_t node, const std::string& what) const {
    throw SpecError(static_cast<int>(node), spec_.nodes[node].name, "", what);
  }

  void add(const NodeSpec& node, int number) {
    const LayerKind& kind = kind_of(node, number);
    std::vector<TensorId> ids;
    std::vector<TensorSpec> inputs;
    for (const std::string& name : node.inputs) {
      const auto found = ids_.find(name);
      if (found == ids_.end())
        throw SpecError(number, node.name, "inputs", fmt::format("no node before it is called '{}'", name));
      if (std::find(ids.begin(), ids.end(), found->second) != ids.end())
        throw SpecError(number, node.name, "inputs", fmt::format("'{}' is there twice", name));
      ids.push_back(found->second);
      inputs.push_back(tensors_[static_cast<std::size_t>(found->second)]);
    }
    std::unique_ptr<Layer> layer = kind.make({network_, node, number, ids, inputs, quantizer_});
    tensors_.push_back(layer->output(inputs));
    network_.add(node.name, std::move(layer), ids);
  }

  /// Throws SpecError unless every tensor but the last has a reader, and all its readers but the last can add to its
  /// gradient.
  void check_readers() const {
    const auto& nodes = network_.nodes();
    std::vector<int> last_reader(tensors_.size(), -1);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      for (const TensorId input : nodes[i].inputs) {
        if (input == 0 && !nodes[i].layer->reads_images()) refuse(i, "cannot read the image; put a conv2d before it");
        last_reader[static_cast<std::size_t>(input)] = static_cast<int>(i);
      }
    }
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      for (const TensorId input : nodes[i].inputs)
        if (last_reader[static_cast<std::size_t>(input)] != static_cast<int>(i) && !nodes[i].layer->adds_gradients())
          refuse(i, fmt::format("must be the last one that reads its input; '{}' reads it too",
                                nodes[static_cast<std::size_t>(last_reader[static_cast<std::size_t>(input)])].name));
      if (i + 1 < nodes.size() && last_reader[i + 1] < 0) refuse(i, "is read by no other node");
    }
  }

  void check_names() const {
    std::set<std::string> names;
    const auto add = [&](const std::string& name) {
      if (!names.insert(name).second)
        throw SpecError(-1, "nodes", fmt::format("two parameters or states would be called '{}'", name));
    };
    for (const ParameterSpec& parameter : network_.parameters()) add(parameter.name);
    for (const StateSpec& state : network_.states()) add(state.name);
  }

  const NetworkSpec& spec_;
  const Quantizer& quantizer_;
  Network network_;
  std::vector<TensorSpec> tensors_;
  std::map<std::string, TensorId> ids_ = {{kImage, 0}};
};

}  // namespace

void LayerRequest::refuse(const std::string& what) const {
  throw SpecError(number, node.name, "", what);
}

void LayerRequest::want_inputs(std::size_t least, std::size_t most) const {
  if (least <= inputs.size() && inputs.size() <= most) return;
  const std::string wanted = least == most ? std::to_string(least) : fmt::format("{} or {}", least, most);
  throw SpecError(number, node.name, "inputs", fmt::format("has {}, {} reads {}", inputs.size(), node.layer, wanted));
}

const Shape& LayerRequest::image(std::size_t input) const {
  const Shape& shape = inputs[input].shape;
  if (shape.rank != 4) refuse(fmt::format("'{}' is no image that {} can read", node.inputs[input], node.layer));
  return shape;
}

std::span<const LayerKind> layer_kinds() {
  return kKinds;
}

Network build_network(const NetworkSpec& spec, const Quantizer& quantizer) {
  return Builder(spec, quantizer).build();
}

}  // namespace bsq
