#include "engine/deployed/deployed_network.h"

namespace bsq {

std::vector<bool> terms_alone(const DeployedNetwork& network, bool first) {
  std::vector<bool> is_added(network.tensors.size(), false), is_otherwise_read(network.tensors.size(), false);
  is_otherwise_read[static_cast<std::size_t>(network.head.input)] = true;
  for (const DeployedNode& node : network.nodes) {
    const bool adds = std::holds_alternative<LevelSum>(node.operation);
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
      (adds && (i == 0 || !first) ? is_added : is_otherwise_read)[static_cast<std::size_t>(node.inputs[i])] = true;
  }
  std::vector<bool> is_term(network.tensors.size(), false);
  for (std::size_t i = 0; i < network.nodes.size(); ++i)
    is_term[i + 1] = std::holds_alternative<LevelConvolution>(network.nodes[i].operation) && is_added[i + 1] &&
                     !is_otherwise_read[i + 1];
  return is_term;
}

}  // namespace bsq
