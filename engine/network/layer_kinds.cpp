// The table, and the network that is made of a spec.
#include "engine/network/layer_kinds.h"

#include "engine/base/suggest.h"
#include "engine/network/layers/average_pool.h"
#include "engine/network/layers/bias_act.h"
#include "engine/network/layers/concat.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/dropout.h"
#include "engine/network/layers/flatten.h"
#include "engine/network/layers/linear.h"
#include "engine/network/layers/max_pool.h"
#include "engine/network/layers/norm_act.h"
#include "engine/network/layers/quantize.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace bsq {
namespace {

constexpr std::array kKinds = {
    LayerKind{"conv2d", make_conv2d},     LayerKind{"norm_act", make_norm_act},
    LayerKind{"bias_act", make_bias_act}, LayerKind{"add", make_add},
    LayerKind{"concat", make_concat},     LayerKind{"dropout", make_dropout},
    LayerKind{"max_pool", make_max_pool}, LayerKind{"average_pool", make_average_pool},
    LayerKind{"flatten", make_flatten},   LayerKind{"linear", make_linear},
    LayerKind{"quantize", make_quantize},
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

/// What a node says of widths. They mean nothing where it has no numbers of this width, which finish() refuses.
class NodeWidths {
 public:
  NodeWidths(int number, const NodeSpec& node) : options_(number, node) {
    constexpr int kMostActBits = 8;
    for (const auto& [key, value] : node.options.items())
      if (is_width_option(key)) said_.push_back(key);
    if (said_.empty()) return;
    if (options_.has("weight_bits")) weights_.start = options_.integer("weight_bits", 1, kMaxBits);
    if (options_.has("max_bits")) weights_.most = options_.integer("max_bits", std::max(weights_.start, 1), kMaxBits);
    weights_.fixed = options_.flag("fixed", false);
    if (options_.has("act_bits")) act_bits_ = options_.integer("act_bits", 0, kMostActBits);
    if (weights_.fixed && weights_.start == 0) options_.refuse("fixed", "needs weight_bits beside it");
    is_quantized_ = node.layer == "quantize" || options_.flag("quantized", false);
  }

  Quantizer quantizer(Quantizer of_stage) const {
    if (act_bits_ && of_stage.act_bits > 0) of_stage.act_bits = *act_bits_;
    return of_stage;
  }

  /// `first`: the first parameter that the node has added.
  void finish(Network& network, std::size_t first) const {
    const auto added = std::span(network.parameters()).subspan(first);
    const bool has_weights =
        std::ranges::any_of(added, [](const auto& spec) { return spec.group == ParameterGroup::quantized; });
    for (const std::string& key : said_) {
      if (key == "act_bits" && (has_weights || !is_quantized_))
        options_.refuse(key, "is of quantized activations, and this node has none");
      if (key != "act_bits" && !has_weights) options_.refuse(key, "is of quantized weights, and this node has none");
    }
    network.set_widths(first, weights_);
  }

 private:
  NodeOptions options_;
  std::vector<std::string> said_;
  WidthRule weights_;
  std::optional<int> act_bits_;
  bool is_quantized_ = false;
};

class Builder {
 public:
  Builder(const NetworkSpec& spec, const Quantizer& quantizer)
      : spec_(spec), quantizer_(quantizer), network_(spec.image) {
    if (spec.image.rank != 3) throw SpecError(-1, "image", "is missing");
    tensors_.push_back({{1, spec.image[0], spec.image[1], spec.image[2]}, DType::f32});
  }

  Network build() {
    for (std::size_t i = 0; i < spec_.nodes.size(); ++i) add(spec_.nodes[i], static_cast<int>(i));
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
  /// `node`: of the network.
  [[noreturn]] void refuse(std::size_t node, const std::string& what) const {
    throw SpecError(spec_numbers_[node], name_of(node), "", what);
  }
  const std::string& name_of(std::size_t node) const {
    return spec_.nodes[static_cast<std::size_t>(spec_numbers_[node])].name;
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
    const NodeWidths widths(number, node);
    const Quantizer quantizer = widths.quantizer(quantizer_);
    const std::size_t first = network_.parameters().size();
    std::unique_ptr<Layer> layer = kind.make({network_, node, number, ids, inputs, quantizer});
    widths.finish(network_, first);
    if (layer == nullptr) {
      ids_[node.name] = ids.front();
      return;
    }
    spec_numbers_.push_back(number);
    check_inputs(*layer, ids, inputs);
    tensors_.push_back(layer->output(inputs));
    units_.push_back(unit_of_output(*layer, ids, inputs));
    ids_[node.name] = network_.add(node.name, std::move(layer), ids);
  }

  /// A convolution multiplies numbers, or levels in a unit of their own; what quantizes signed numbers reads none that
  /// are levels already; and the bias that a convolution leaves to its reader is added once.
  void check_inputs(const Layer& layer, const std::vector<TensorId>& ids, const std::vector<TensorSpec>& inputs) {
    const std::size_t number = network_.nodes().size();
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == 0) continue;
      const Node& before = network_.nodes()[static_cast<std::size_t>(ids[i]) - 1];
      const std::string reads = fmt::format("reads the {} '{}'", before.layer->kind(), before.name);
      if (layer.convolution(inputs, {}) && units_[static_cast<std::size_t>(ids[i])].weight != nullptr)
        refuse(number, reads + "; put a norm_act or bias_act between them");
      if (layer.kind() == "quantize" && units_[static_cast<std::size_t>(ids[i])].activation != nullptr)
        refuse(number, reads + ", whose numbers are quantized already; leave it out");
      if (!before.layer->output_bias()) continue;
      if (!layer.takes_output_bias(i)) refuse(number, reads + ", which has a bias; put a bias_act between them");
      const auto [other, is_first] = bias_readers_.emplace(ids[i], number);
      if (!is_first)
        refuse(number, fmt::format("{}, whose bias '{}' adds; let it read that", reads, name_of(other->second)));
    }
  }

  /// As if every parameter was of integers.
  TensorUnit unit_of_output(const Layer& layer, const std::vector<TensorId>& ids,
                            const std::vector<TensorSpec>& inputs) {
    TensorView integers;
    integers.unit.weight = &one_;
    as_integers_.values.resize(network_.parameters().size(), integers);
    std::vector<TensorView> views;
    for (std::size_t i = 0; i < ids.size(); ++i)
      views.push_back({DType::f32, inputs[i].shape, nullptr, units_[static_cast<std::size_t>(ids[i])]});
    return layer.output_unit(views, as_integers_, &one_);
  }

  /// Whether a gradient comes to every tensor.
  void check_readers() const {
    const auto& nodes = network_.nodes();
    std::vector<bool> is_read(tensors_.size(), false);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      for (const TensorId input : nodes[i].inputs) {
        if (input == 0 && !nodes[i].layer->reads_images()) refuse(i, "cannot read the image; put a conv2d before it");
        is_read[static_cast<std::size_t>(input)] = true;
      }
    }
    for (std::size_t i = 0; i + 1 < nodes.size(); ++i)
      if (!is_read[i + 1]) refuse(i, "is read by no other node");
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
  std::vector<int> spec_numbers_;  // of the nodes of the network
  std::vector<TensorSpec> tensors_;
  float one_ = 1;                                 // that units point to
  ParameterMemory as_integers_;                   // of the parameters so far
  std::vector<TensorUnit> units_{TensorUnit{}};   // null where they are 1
  std::map<TensorId, std::size_t> bias_readers_;  // the nodes that take the biases that convolutions have left
  std::map<std::string, TensorId> ids_ = {{kImage, 0}};
};

}  // namespace

void LayerRequest::refuse(const std::string& what) const {
  throw SpecError(number, node.name, "", what);
}

void LayerRequest::want_inputs(std::size_t least, std::size_t most) const {
  if (least <= inputs.size() && inputs.size() <= most) return;
  const std::string wanted = least == most        ? std::to_string(least)
                             : most == kAnyNumber ? fmt::format("{} or more", least)
                                                  : fmt::format("{} or {}", least, most);
  throw SpecError(number, node.name, "inputs", fmt::format("has {}, {} reads {}", inputs.size(), node.layer, wanted));
}

const Shape& LayerRequest::image(std::size_t input) const {
  const Shape& shape = inputs[input].shape;
  if (shape.rank != 4) refuse(fmt::format("'{}' is no image that {} can read", node.inputs[input], node.layer));
  return shape;
}

std::optional<ParameterId> LayerRequest::output_bias(std::size_t input) const {
  if (ids[input] == 0) return std::nullopt;
  return network.nodes()[static_cast<std::size_t>(ids[input]) - 1].layer->output_bias();
}

std::span<const LayerKind> layer_kinds() {
  return kKinds;
}

Network build_network(const NetworkSpec& spec, const Quantizer& quantizer) {
  return Builder(spec, quantizer).build();
}

}  // namespace bsq
