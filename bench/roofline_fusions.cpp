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

LeftSums::LeftSums(const Network& network, const std::vector<TensorSpec>& tensors, const std::vector<TensorId>& owners)
    : network_(network), tensors_(tensors), pairs_(find_norm_pairs(network, owners)) {}

bool LeftSums::is_own(int node, ConvPass pass) const {
  if (node < 0) return false;
  const Node& of = network_.nodes()[static_cast<std::size_t>(node)];
  const auto* conv = dynamic_cast<const Conv2d*>(of.layer.get());
  const TensorSpec input = network_.inputs_of(of, tensors_)[0];
  return cuda::has_own_kernel(conv->geometry(input.shape, input.dtype), pass);
}

std::vector<Saving> fusion_savings(const Network& network, const StepOptions& options) {
  const DType dtype = dtype_of(options.precision);
  const auto element_bytes = static_cast<double>(size_of(dtype));
  const auto tensors = network.tensors(options.batch, dtype);
  const auto adds = accumulations(network);
  const LeftSums left(network, tensors, tensor_owners(network, /*training=*/true));
  const auto& nodes = network.nodes();
  Saving statistics{"batch-norm sums and extremes in the epilogue of the forward convolution", {}};
  Saving sums{"batch-norm gradient sums in the epilogue of the data gradient", {}};
  Saving accumulation{"the data gradient adds to what is there (no `add`)", {}};
  Saving inner{"inner activations (bn1 of a block) normalized while the next convolution loads, never stored", {}};
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const double numel_bytes = static_cast<double>(tensors[i + 1].shape.numel()) * element_bytes;
    if (nodes[i].layer->kind() == "norm_act") {
      if (!left.of_input(i)) statistics.kernels.push_back(numel_bytes);
      if (!left.has_conv_behind(i)) continue;  // so it is with the norm of a shortcut, and with the last one
      if (!left.of_gradient(i)) sums.kernels.push_back(numel_bytes);
      if (nodes[i].inputs.size() != 1 || i == 1) continue;  // the stem's output is a shortcut as well
      inner.kernels.push_back(2 * numel_bytes);
    } else if (const auto* conv = dynamic_cast<const Conv2d*>(nodes[i].layer.get()); conv != nullptr && adds[i][0]) {
      const Shape& shape = tensors[static_cast<std::size_t>(nodes[i].inputs[0])].shape;
      if (cuda::has_own_kernel(conv->geometry(shape, dtype), ConvPass::backward_data)) continue;  // does so already
      accumulation.kernels.push_back(2 * static_cast<double>(shape.numel()) * element_bytes);
    }
  }
  std::vector<Saving> savings{statistics, sums, accumulation, inner};
  std::erase_if(savings, [](const Saving& saving) { return saving.kernels.empty(); });
  return savings;
}

}  // namespace bsq::bench
