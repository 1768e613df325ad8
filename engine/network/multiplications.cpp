#include "engine/network/multiplications.h"

#include "engine/network/integer_inputs.h"

namespace bsq {

std::optional<ParameterId> weight_of(const Node& node, const std::vector<ParameterSpec>& parameters) {
  for (const ParameterId id : node.layer->parameters())
    if (parameters[static_cast<std::size_t>(id)].role == Role::weight) return id;
  return std::nullopt;
}

std::vector<Multiplication> multiplications(const Network& network) {
  const std::vector<TensorSpec> tensors = network.tensors(1, DType::f32);
  const std::vector<int> inputs = input_bits(network);
  std::vector<Multiplication> found;
  for (std::size_t i = 0; i < network.nodes().size(); ++i) {
    const Node& node = network.nodes()[i];
    const std::optional<ParameterId> weight = weight_of(node, network.parameters());
    const double flops = node.layer->flops(network.inputs_of(node, tensors));
    if (weight && flops > 0) found.push_back({i, *weight, flops / 2, inputs[i]});
  }
  return found;
}

ArenaLayout lay_out_quantized(const Network& network, DType filter_dtype, const NoDecay& no_decay) {
  ArenaLayout layout = lay_out(network.parameters(), ParameterGroup::quantized, filter_dtype, no_decay);
  layout.packed_rest = network.packed_rest();
  for (const Multiplication& multiplication : multiplications(network)) {
    const std::string& name = network.parameters()[static_cast<std::size_t>(multiplication.weight)].name;
    for (ParameterSlot& slot : layout.slots)
      if (slot.spec.name == name) slot.bit_operations += multiplication.bit_operations();
  }
  return layout;
}

}  // namespace bsq
