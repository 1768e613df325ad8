#include "tools/export/c/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace bsq {
namespace {

constexpr std::size_t kAlignment = 16;  // of vectors that load a tensor

std::size_t rounded_up(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

std::vector<std::size_t> last_readers(const DeployedNetwork& network) {
  std::vector<std::size_t> last(network.tensors.size());
  for (std::size_t i = 0; i < last.size(); ++i) last[i] = i;  // of one that nothing reads: when it is written
  for (std::size_t i = 0; i < network.nodes.size(); ++i)
    for (const int input : network.nodes[i].inputs) last[static_cast<std::size_t>(input)] = i;
  last[static_cast<std::size_t>(network.head.input)] = network.nodes.size();
  return last;
}

/// The largest first, each as low as it can lie beside those that have a place.
MemoryPlan plan_memory(const DeployedNetwork& network) {
  const std::size_t count = network.tensors.size();
  const std::vector<std::size_t> last = last_readers(network);
  const auto first = [](std::size_t tensor) { return tensor == 0 ? 0 : tensor - 1; };  // the node that writes it
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return network.tensors[a].numel() > network.tensors[b].numel();
  });
  MemoryPlan plan{.offsets = std::vector<std::size_t>(count), .bytes = 0};
  std::vector<std::size_t> placed;  // by offset
  for (const std::size_t tensor : order) {
    const std::size_t bytes = rounded_up(network.tensors[tensor].numel());
    std::size_t offset = 0;
    for (const std::size_t other : placed) {
      if (first(other) > last[tensor] || first(tensor) > last[other]) continue;
      if (offset + bytes <= plan.offsets[other]) break;
      offset = std::max(offset, plan.offsets[other] + rounded_up(network.tensors[other].numel()));
    }
    plan.offsets[tensor] = offset;
    plan.bytes = std::max(plan.bytes, offset + bytes);
    const auto behind =
        std::find_if(placed.begin(), placed.end(), [&](std::size_t other) { return plan.offsets[other] > offset; });
    placed.insert(behind, tensor);
  }
  return plan;
}

}  // namespace bsq
