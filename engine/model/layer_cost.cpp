#include "engine/model/layer_cost.h"

#include "engine/network/multiplications.h"

#include <algorithm>

namespace bsq {
namespace {

const TensorBits* find_tensor(const BitSummary& summary, const std::string& name) {
  const auto found = std::find_if(summary.tensors.begin(), summary.tensors.end(),
                                  [&](const TensorBits& tensor) { return tensor.name == name; });
  return found == summary.tensors.end() ? nullptr : &*found;
}

/// Counts all parameters of a layer.
void count_numbers(LayerCost& layer, const BitSummary& summary, const Network& network, const Node& node) {
  for (const ParameterId id : node.layer->parameters()) {
    const ParameterSpec& spec = network.parameters()[static_cast<std::size_t>(id)];
    const TensorBits* tensor = find_tensor(summary, spec.name);
    layer.numbers += spec.shape.numel();
    layer.stored_bits += tensor == nullptr ? spec.shape.numel() * kFloatBits : tensor->stored_bits();
  }
}

}  // namespace

double LayerCost::bops(bool with_sign) const {
  const bool has_sign = with_sign && bits > 0 && bits != kFloatBits && !odd;
  return macs * (bits + (has_sign ? 1 : 0)) * input_bits;
}

std::vector<LayerCost> layer_costs(const BitSummary& summary, const Network& network) {
  std::vector<LayerCost> layers;
  for (const Multiplication& multiplication : multiplications(network)) {
    const ParameterSpec& weight = network.parameters()[static_cast<std::size_t>(multiplication.weight)];
    const Node& node = network.nodes()[multiplication.node];
    const TensorBits* tensor = find_tensor(summary, weight.name);
    const int bits = tensor == nullptr ? kFloatBits : tensor->empty ? 0 : tensor->bits;
    LayerCost layer{.name = node.name,
                    .weights = weight.shape.numel(),
                    .macs = multiplication.macs,
                    .input_bits = multiplication.input_bits == 0 ? kFloatBits : multiplication.input_bits,
                    .bits = bits,
                    .odd = tensor != nullptr && tensor->odd,
                    .fixed = weight.widths.fixed};
    count_numbers(layer, summary, network, node);
    layers.push_back(std::move(layer));
  }
  return layers;
}

double macs_of(const std::vector<LayerCost>& layers) {
  double sum = 0;
  for (const LayerCost& layer : layers) sum += layer.macs;
  return sum;
}

double bops_of(const std::vector<LayerCost>& layers, bool with_sign) {
  double sum = 0;
  for (const LayerCost& layer : layers) sum += layer.bops(with_sign);
  return sum;
}

}  // namespace bsq
