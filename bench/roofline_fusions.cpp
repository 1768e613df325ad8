#include "bench/roofline_fusions.h"

#include "bench/roofline_model.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/tensor_owners.h"
#include "kernels/cuda/device/own_geometries.h"

#include <algorithm>

namespace bsq::bench {

std::vector<std::vector<bool>> accumulations(const Network& network) {
  const auto& nodes = network.nodes();
  std::vector<std::vector<bool>> result(nodes.size());
  std::vector<bool> visited(nodes.size() + 1, false);
  for (std::size_t i = nodes.size(); i-- > 0;) {
    for (const TensorId input : nodes[i].inputs) {
      result[i].push_back(visited[static_cast<std::size_t>(input)]);
      visited[static_cast<std::size_t>(input)] = true;
    }
  }
  return result;
}

NormsOnTheWay::NormsOnTheWay(const Network& network, const std::vector<TensorSpec>& tensors,
                             const std::vector<TensorId>& owners, Fusion made)
    : network_(network), tensors_(tensors), pairs_(find_norm_pairs(network, owners)), made_(made) {}

bool NormsOnTheWay::is_own(int node, ConvPass pass) const {
  if (node < 0) return false;
  const Node& of = network_.nodes()[static_cast<std::size_t>(node)];
  const auto* conv = dynamic_cast<const Conv2d*>(of.layer.get());
  const TensorSpec input = network_.inputs_of(of, tensors_)[0];
  return cuda::has_own_kernel(conv->geometry(input.shape, input.dtype), pass);
}

bool NormsOnTheWay::output_is_made(std::size_t norm) const {
  const int reader = pairs_.only_reader[norm];
  return made_ >= Fusion::norm_in_load && of_input(norm) && network_.nodes()[norm].inputs.size() == 1 &&
         is_own(reader, ConvPass::forward) && is_own(reader, ConvPass::backward_weight);
}

}  // namespace bsq::bench
