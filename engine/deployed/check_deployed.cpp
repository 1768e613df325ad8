#include "engine/deployed/check_deployed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace bsq {
namespace {

constexpr std::int64_t kMostLevels = std::int64_t{1} << 26;  // of all tensors of a picture, and of one with its padding
constexpr std::int64_t kTooLarge = std::int64_t{1} << 31;

bool are_numbers(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

bool has_size(const DeployedTensor& tensor, int height, int width, int channels) {
  return tensor.height == height && tensor.width == width && tensor.channels == channels;
}

/// Windows along a side; 0 if none fits.
int windows(int side, int kernel, int stride, int padding) {
  return side + 2 * padding < kernel ? 0 : (side + 2 * padding - kernel) / stride + 1;
}

std::string fault_of_convolution(const LevelConvolution& c, const DeployedTensor& x, const DeployedTensor& y) {
  const auto outputs = static_cast<std::size_t>(y.channels);
  const std::int64_t inputs = x.channels / std::max(c.groups, 1);
  if (x.channels % c.groups != 0 || y.channels % c.groups != 0) return "its groups do not divide its channels";
  if (c.scale.size() != outputs || static_cast<std::int64_t>(c.k.size()) != inputs * c.kernel * c.kernel * y.channels)
    return "its filter has another size";
  if (!has_size(y, windows(x.height, c.kernel, c.stride, c.padding), windows(x.width, c.kernel, c.stride, c.padding),
                y.channels))
    return "it does not make an image of that size";
  const std::int64_t padded = (x.height + std::int64_t{2} * c.padding) * (x.width + std::int64_t{2} * c.padding);
  if (padded * x.channels > kMostLevels) return "its padding is too large";
  if (!are_numbers(c.scale) || !are_numbers(c.offset)) return "a scale is no number";
  if (std::any_of(c.scale.begin(), c.scale.end(), [](float scale) { return scale <= 0; }))
    return "a scale is not above 0";
  const std::size_t length = c.k.size() / outputs;
  for (std::size_t o = 0; o < outputs; ++o) {
    std::int64_t largest = std::abs(std::int64_t{c.bias[o]});
    for (std::size_t i = 0; i < length; ++i) largest += std::abs(int{c.k[o * length + i]}) * std::int64_t{255};
    if (largest >= kTooLarge) return "its sums do not fit 32 bits";
  }
  return "";
}

std::string fault_of_node(const DeployedNetwork& network, std::size_t i) {
  const DeployedNode& node = network.nodes[i];
  const DeployedTensor& y = network.tensors[i + 1];
  const auto input = [&](std::size_t k) -> const DeployedTensor& {
    return network.tensors[static_cast<std::size_t>(node.inputs[k])];
  };
  const DeployedTensor& x = input(0);
  const bool is_sum = std::holds_alternative<LevelSum>(node.operation);
  const bool is_concat = std::holds_alternative<LevelConcat>(node.operation);
  if (!is_concat && node.inputs.size() != (is_sum ? 2 : 1)) return "it reads another number of tensors";
  if (const auto* c = std::get_if<LevelConvolution>(&node.operation)) return fault_of_convolution(*c, x, y);
  if (const auto* pool = std::get_if<LevelMaximum>(&node.operation)) {
    const auto fits = [&](int side, int out) {  // the last window may reach beyond the image, but not lie there
      return out >= 1 && static_cast<std::int64_t>(out - 1) * pool->stride - pool->padding < side;
    };
    const bool is_right = y.channels == x.channels && fits(x.height, y.height) && fits(x.width, y.width);
    return is_right && pool->padding < pool->kernel && y.grid == x.grid ? "" : "its windows do not fit";
  }
  if (std::holds_alternative<LevelFlatten>(node.operation))
    return y.numel() == x.numel() && has_size(y, 1, 1, y.channels) && y.grid == x.grid ? "" : "it is no vector of it";
  if (is_sum)
    return has_size(x, y.height, y.width, y.channels) && has_size(input(1), y.height, y.width, y.channels)
               ? ""
               : "what it adds differs in size";
  std::int64_t channels = 0;
  for (std::size_t k = 0; k < node.inputs.size(); ++k) {
    if (!has_size(input(k), y.height, y.width, input(k).channels)) return "what it joins differs in size";
    channels += input(k).channels;
  }
  return channels == y.channels ? "" : "what it joins differs in size";
}

std::string fault_of_head(const DeployedNetwork& network) {
  const DeployedHead& head = network.head;
  const DeployedTensor& x = network.tensors[static_cast<std::size_t>(head.input)];
  if (head.offset.empty()) return "the head has no classes";
  if (head.k.size() != head.offset.size() * static_cast<std::size_t>(x.channels)) return "head.k has another size";
  return are_numbers(head.scale) && are_numbers(head.offset) ? "" : "a number of the head is none";
}

}  // namespace

std::string fault_of(const DeployedNetwork& network) {
  const auto channels = static_cast<std::size_t>(network.tensors[0].channels);
  if ((channels != 1 && channels != 3) || network.pixels.size() != channels)
    return "pictures have three colors, or are gray";
  std::int64_t levels = 0;
  for (const DeployedTensor& tensor : network.tensors) {
    levels += static_cast<std::int64_t>(tensor.numel());
    if (levels > kMostLevels) return "it is too large";
    if (!(tensor.grid.unit > 0 && std::isfinite(tensor.grid.unit)))
      return fmt::format("the unit of {} is {}", tensor.name, tensor.grid.unit);
  }
  for (std::size_t i = 0; i < network.nodes.size(); ++i)
    if (const std::string fault = fault_of_node(network, i); !fault.empty())
      return fmt::format("{}: {}", network.tensors[i + 1].name, fault);
  return fault_of_head(network);
}

}  // namespace bsq
