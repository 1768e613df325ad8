// Two walks: chains of concats from their ends, then what is left out.
#include "engine/network/tensor_owners.h"

#include <numeric>

namespace bsq {
namespace {

/// The last node that reads a tensor, or -1; and whether all of them take a pitch.
struct Readers {
  int last = -1;
  bool take_pitch = true;
};

std::vector<Readers> readers_of(const Network& network) {
  std::vector<Readers> readers(network.nodes().size() + 1);
  for (std::size_t i = 0; i < network.nodes().size(); ++i) {
    const Node& node = network.nodes()[i];
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      Readers& of_input = readers[static_cast<std::size_t>(node.inputs[k])];
      of_input.last = static_cast<int>(i);
      of_input.take_pitch = of_input.take_pitch && node.layer->takes_pitch(k);
    }
  }
  return readers;
}

}  // namespace

std::vector<TensorId> tensor_owners(const Network& network, bool training) {
  const auto& nodes = network.nodes();
  const std::vector<Readers> readers = readers_of(network);
  std::vector<TensorId> owners(nodes.size() + 1);
  std::iota(owners.begin(), owners.end(), 0);
  for (std::size_t i = nodes.size(); i-- > 0;) {
    if (!nodes[i].layer->extends_first_input()) continue;
    const auto first = static_cast<std::size_t>(nodes[i].inputs[0]);
    if (first == 0 || !nodes[first - 1].layer->extends_first_input()) continue;
    if (readers[first].last == static_cast<int>(i) && readers[first].take_pitch) owners[first] = owners[i + 1];
  }
  for (std::size_t i = 0; i < nodes.size() && !training; ++i)
    if (nodes[i].layer->is_left_out_in_inference())
      owners[i + 1] = owners[static_cast<std::size_t>(nodes[i].inputs[0])];
  return owners;
}

}  // namespace bsq
