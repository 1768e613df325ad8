#include "engine/network/norm_pairs.h"

#include <algorithm>

namespace bsq {

NormPairs find_norm_pairs(const Network& network, const std::vector<TensorId>& owners) {
  const std::vector<Node>& nodes = network.nodes();
  const auto is_norm = [&](int node) { return node >= 0 && nodes[static_cast<std::size_t>(node)].layer->runs_norm(); };
  const auto is_conv = [&](int node) {
    return node >= 0 && nodes[static_cast<std::size_t>(node)].layer->runs_convolution();
  };
  const std::vector<int> none(nodes.size(), -1);
  NormPairs pairs{none, none, none, none};
  const int count = static_cast<int>(nodes.size());
  for (int i = 0; i < count; ++i) {
    const int writer = nodes[static_cast<std::size_t>(i)].inputs[0] - 1;
    if (!is_norm(i) || !is_conv(writer) || pairs.norm_behind[static_cast<std::size_t>(writer)] >= 0) continue;
    pairs.norm_behind[static_cast<std::size_t>(writer)] = i;
    pairs.conv_before[static_cast<std::size_t>(i)] = writer;
  }
  // The first reader of a tensor is the last to visit its gradient. Gradients that share their memory are left alone.
  std::vector<bool> is_visited(owners.size());
  for (int i = 0; i < count; ++i) {
    for (const TensorId input : nodes[static_cast<std::size_t>(i)].inputs) {
      const bool is_first_reader = !is_visited[static_cast<std::size_t>(input)];
      is_visited[static_cast<std::size_t>(input)] = true;
      const bool is_alone = owners[static_cast<std::size_t>(input)] == input && std::ranges::count(owners, input) == 1;
      if (!is_first_reader || !is_alone || !is_conv(i) || !is_norm(input - 1)) continue;
      pairs.norm_before[static_cast<std::size_t>(i)] = input - 1;
      pairs.conv_behind[static_cast<std::size_t>(input - 1)] = i;
    }
  }
  return pairs;
}

}  // namespace bsq
