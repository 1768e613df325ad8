// Building a network and the shapes that follow from it.
#include "engine/network/network.h"

#include "engine/network/multiplications.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <optional>

namespace bsq {
namespace {

/// The filter of a node that is a convolution.
std::optional<ParameterId> filter_of(const Node& node, const std::vector<ParameterSpec>& parameters) {
  return node.layer->runs_convolution() ? weight_of(node, parameters) : std::nullopt;
}

}  // namespace

ParameterId Network::add_parameter(const ParameterSpec& spec) {
  parameters_.push_back(spec);
  return static_cast<ParameterId>(parameters_.size()) - 1;
}

void Network::set_widths(std::size_t first, const WidthRule& widths) {
  for (std::size_t i = first; i < parameters_.size(); ++i)
    if (parameters_[i].group == ParameterGroup::quantized) parameters_[i].widths = widths;
}

StateId Network::add_state(const StateSpec& spec) {
  states_.push_back(spec);
  return static_cast<StateId>(states_.size()) - 1;
}

TensorId Network::add(const std::string& name, std::unique_ptr<Layer> layer, const std::vector<TensorId>& inputs) {
  for (const TensorId input : inputs)
    require(input >= 0 && input <= static_cast<TensorId>(nodes_.size()), "node {}: input {} does not exist yet", name,
            input);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i] == 0 || (layer->runs_norm() && i == 0)) continue;  // a norm adds its other input as it is
    if (const auto filter = filter_of(nodes_[static_cast<std::size_t>(inputs[i] - 1)], parameters_))
      parameters_[static_cast<std::size_t>(*filter)].is_normed = false;
  }
  nodes_.push_back({name, std::move(layer), inputs});
  if (const auto filter = filter_of(nodes_.back(), parameters_))
    parameters_[static_cast<std::size_t>(*filter)].is_normed = true;
  return static_cast<TensorId>(nodes_.size());
}

int Network::num_classes() const {
  return static_cast<int>(tensors(1, DType::f32).back().shape[1]);
}

std::vector<TensorSpec> Network::tensors(int batch, DType dtype) const {
  std::vector<TensorSpec> tensors{{{batch, image_[0], image_[1], image_[2]}, dtype}};
  for (const Node& node : nodes_) tensors.push_back(node.layer->output(inputs_of(node, tensors)));
  return tensors;
}

std::vector<TensorSpec> Network::inputs_of(const Node& node, const std::vector<TensorSpec>& tensors) const {
  std::vector<TensorSpec> inputs;
  for (const TensorId input : node.inputs) inputs.push_back(tensors[static_cast<std::size_t>(input)]);
  return inputs;
}

bool depends_on_batch(const Network& network) {
  return std::any_of(network.nodes().begin(), network.nodes().end(), [](const Node& node) {
    const std::optional<OutputQuantizer> quantizer = node.layer->quantizer();
    return quantizer && quantizer->act_scale < 0 && quantizer->clip < 0;
  });
}

}  // namespace bsq
