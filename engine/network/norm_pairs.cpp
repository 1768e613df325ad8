#include "engine/network/norm_pairs.h"

#include <algorithm>

namespace bsq {

/// Tensors that share their memory with others are left alone.
NormPairs find_norm_pairs(const Network& network, const std::vector<TensorId>& owners) {
  const std::vector<Node>& nodes = network.nodes();
  const auto is_norm = [&](int node) { return node >= 0 && nodes[static_cast<std::size_t>(node)].layer->runs_norm(); };
  const auto is_conv = [&](int node) {
    return node >= 0 && nodes[static_cast<std::size_t>(node)].layer->runs_convolution();
  };
  const std::vector<int> none(nodes.size(), -1);
  NormPairs pairs{none, none, none, none, none, none};
  const int count = static_cast<int>(nodes.size());
  for (int i = 0; i < count; ++i) {
    const int writer = nodes[static_cast<std::size_t>(i)].inputs[0] - 1;
    if (!is_norm(i) || !is_conv(writer) || pairs.norm_behind[static_cast<std::size_t>(writer)] >= 0) continue;
    pairs.norm_behind[static_cast<std::size_t>(writer)] = i;
    pairs.conv_before[static_cast<std::size_t>(i)] = writer;
  }
  std::vector<std::vector<int>> readers(owners.size());
  for (int i = 0; i < count; ++i)
    for (const TensorId input : nodes[static_cast<std::size_t>(i)].inputs)
      readers[static_cast<std::size_t>(input)].push_back(i);
  for (int i = 0; i < count; ++i) {
    const TensorId output = i + 1;
    const std::vector<int>& of_output = readers[static_cast<std::size_t>(output)];
    const bool is_alone = owners[static_cast<std::size_t>(output)] == output && std::ranges::count(owners, output) == 1;
    if (!is_norm(i) || !is_alone || of_output.empty() || !is_conv(of_output.front())) continue;
    const int first = of_output.front();  // so it is the last to visit the gradient
    pairs.norm_before[static_cast<std::size_t>(first)] = i;
    pairs.conv_behind[static_cast<std::size_t>(i)] = first;
    if (of_output.size() > 1) continue;
    pairs.input_norm[static_cast<std::size_t>(first)] = i;
    pairs.only_reader[static_cast<std::size_t>(i)] = first;
  }
  return pairs;
}

}  // namespace bsq
