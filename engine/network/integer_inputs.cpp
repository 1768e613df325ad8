#include "engine/network/integer_inputs.h"

#include "kernels/base/error.h"

#include <cmath>

namespace bsq {
namespace {

/// Parameters without memory: units are places, and nobody looks at what lies there.
ParameterMemory shapes_of(const Network& network) {
  ParameterMemory memory;
  for (const ParameterSpec& spec : network.parameters()) memory.values.push_back({DType::f32, spec.shape, nullptr});
  memory.gradients.resize(network.parameters().size());
  memory.states.resize(network.states().size());
  return memory;
}

double largest_level(int bits) {
  return std::exp2(bits) - 1;
}

/// Of the nodes in their order: bits of the integers that the first input holds, whoever has passed them on; 0: none.
std::vector<int> integer_bits(const Network& network) {
  const ParameterMemory memory = shapes_of(network);
  const auto& nodes = network.nodes();
  std::vector<TensorView> tensors;
  for (const TensorSpec& spec : network.tensors(1, DType::f32)) tensors.push_back({spec.dtype, spec.shape, nullptr});
  std::vector<float> units(tensors.size());     // of each tensor that has one of its own
  std::vector<int> level_bits(tensors.size());  // of the levels that it then holds
  std::vector<int> bits;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    std::vector<TensorView> inputs;
    for (const TensorId input : nodes[i].inputs) inputs.push_back(tensors[static_cast<std::size_t>(input)]);
    tensors[i + 1].unit = nodes[i].layer->output_unit(inputs, memory, &units[i + 1]);
    const float* unit = inputs.front().unit.activation;
    bits.push_back(unit == nullptr ? 0 : level_bits[static_cast<std::size_t>(unit - units.data())]);
    // Whoever has a unit of its own has rounded, or hands the levels on that it has read: dropout.
    const std::optional<OutputQuantizer> quantizer = nodes[i].layer->quantizer();
    level_bits[i + 1] = quantizer ? quantizer->bits : bits.back();
  }
  return bits;
}

/// Bits of the levels from an offset on that a node writes; 0: it writes no such.
int offset_level_bits(const Node& node) {
  const std::optional<OutputQuantizer> quantizer = node.layer->quantizer();
  return quantizer && quantizer->offset >= 0 ? quantizer->bits : 0;
}

}  // namespace

std::vector<int> input_bits(const Network& network) {
  std::vector<int> bits = integer_bits(network);
  for (std::size_t i = 0; i < bits.size(); ++i)
    if (const TensorId input = network.nodes()[i].inputs.front(); bits[i] == 0 && input > 0)
      bits[i] = offset_level_bits(network.nodes()[static_cast<std::size_t>(input) - 1]);
  return bits;
}

std::vector<InexactSums> inexact_sums(const Network& network, const std::vector<int>& weight_bits) {
  constexpr double kExact = 1 << 24;
  std::vector<int> bits_of(network.parameters().size());  // 0: no filter of integers
  std::size_t slot = 0;
  for (std::size_t i = 0; i < bits_of.size(); ++i) {
    const ParameterSpec& spec = network.parameters()[i];
    if (spec.group != ParameterGroup::quantized) continue;
    const int bits = weight_bits.at(slot++);
    if (spec.shape.rank == 4 && bits <= kMaxBits) bits_of[i] = bits;
  }
  const std::vector<int> inputs = integer_bits(network);
  std::vector<InexactSums> found;
  for (std::size_t node = 0; node < inputs.size(); ++node) {
    for (const ParameterId id : network.nodes()[node].layer->parameters()) {
      const Shape& shape = network.parameters()[static_cast<std::size_t>(id)].shape;
      const int bits = bits_of[static_cast<std::size_t>(id)];
      if (bits == 0) continue;
      const double terms = static_cast<double>(shape.numel() / shape[0]);  // of one sum
      const double largest = terms * largest_level(bits) * largest_level(inputs[node]);
      if (largest >= kExact) found.push_back({network.nodes()[node].name, largest});
    }
  }
  return found;
}

}  // namespace bsq
