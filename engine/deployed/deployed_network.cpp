#include "engine/deployed/deployed_network.h"

#include <algorithm>
#include <cmath>

namespace bsq {

float multiplier_of(const LevelGrid& x, float scale, const LevelGrid& y) {
  const float unit = x.unit * scale;
  return unit / y.unit;
}

LevelSum sum_of(const LevelGrid& x0, const LevelGrid& x1, const LevelGrid& y) {
  const float a = x0.unit / y.unit, b = x1.unit / y.unit;
  const float second = b * static_cast<float>(x1.zero);
  const auto zeros = static_cast<float>(double{a} * x0.zero + double{second});
  return {a, b, static_cast<float>(y.zero) - zeros};
}

LevelConcat concat_of(const std::vector<LevelGrid>& inputs, const LevelGrid& y) {
  LevelConcat result;
  for (const LevelGrid& x : inputs) {
    std::array<std::uint8_t, 256>& levels = result.levels.emplace_back();
    for (int level = 0; level < 256; ++level) {
      const float number = x.unit * static_cast<float>(level - x.zero);
      const float rounded = std::nearbyint(number / y.unit) + static_cast<float>(y.zero);
      levels[static_cast<std::size_t>(level)] =
          static_cast<std::uint8_t>(std::clamp(rounded, 0.0F, static_cast<float>(y.top)));
    }
  }
  return result;
}

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
