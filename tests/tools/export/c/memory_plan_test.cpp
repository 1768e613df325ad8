// Tensors that are needed at the same time lie apart; others share memory.
#include "tools/export/c/memory_plan.h"

#include "tests/support/catch.h"

#include <random>

namespace bsq::test {
namespace {

DeployedTensor tensor(int channels) {
  return {.name = "t", .channels = channels, .grid = {}};
}

/// Of so many bytes each; node i reads some of the tensors before it.
DeployedNetwork network_of(const std::vector<int>& bytes, const std::vector<std::vector<int>>& inputs) {
  DeployedNetwork network{.pixels = PixelLevels(3), .tensors = {}, .nodes = {}, .head = {}};
  for (const int one : bytes) network.tensors.push_back(tensor(one));
  for (const std::vector<int>& read : inputs) network.nodes.push_back({read, LevelFlatten{}});
  network.head.input = static_cast<int>(bytes.size()) - 1;
  return network;
}

/// Plays the nodes: what a node reads must still be there, untouched.
bool keeps_all(const DeployedNetwork& network, const MemoryPlan& plan) {
  std::vector<std::size_t> memory(plan.bytes, network.tensors.size());  // by byte: the tensor that wrote it last
  const auto put = [&](std::size_t i) {
    for (std::size_t b = 0; b < network.tensors[i].numel(); ++b) memory.at(plan.offsets[i] + b) = i;
  };
  const auto is_there = [&](std::size_t i) {
    for (std::size_t b = 0; b < network.tensors[i].numel(); ++b)
      if (memory.at(plan.offsets[i] + b) != i) return false;
    return true;
  };
  put(0);
  for (std::size_t node = 0; node < network.nodes.size(); ++node) {
    put(node + 1);  // while its inputs are read
    for (const int input : network.nodes[node].inputs)
      if (!is_there(static_cast<std::size_t>(input))) return false;
  }
  return is_there(static_cast<std::size_t>(network.head.input));
}

}  // namespace

TEST_CASE("a chain of tensors takes the memory of its two largest neighbours") {
  const DeployedNetwork chain = network_of({32, 64, 160, 64, 16}, {{0}, {1}, {2}, {3}});
  const MemoryPlan plan = plan_memory(chain);
  CHECK(plan.bytes == 224);
  CHECK(keeps_all(chain, plan));
  MemoryPlan wrong = plan;
  wrong.offsets[1] = wrong.offsets[2];
  CHECK_FALSE(keeps_all(chain, wrong));
}

TEST_CASE("a tensor that is read again much later keeps its place") {
  const DeployedNetwork network = network_of({48, 16, 64, 64, 16}, {{0}, {1}, {2}, {3, 0}});
  const MemoryPlan plan = plan_memory(network);
  CHECK(keeps_all(network, plan));
  CHECK(plan.bytes == 48 + 64 + 64);
}

TEST_CASE("memory of any network is shared without loss") {
  std::mt19937 random(7);
  const auto number = [&](int most) { return static_cast<int>(random() % static_cast<unsigned>(most)); };
  for (int round = 0; round < 200; ++round) {
    std::vector<int> bytes = {1 + number(300)};
    std::vector<std::vector<int>> inputs;
    std::size_t all = 16;
    for (int node = 0; node < 12; ++node) {
      inputs.push_back({node});
      if (number(2) == 0) inputs.back().push_back(number(node + 1));
      bytes.push_back(1 + number(300));
    }
    for (const int one : bytes) all += static_cast<std::size_t>(one + 15);
    const DeployedNetwork network = network_of(bytes, inputs);
    const MemoryPlan plan = plan_memory(network);
    CHECK(keeps_all(network, plan));
    CHECK(plan.bytes < all);
  }
}

}  // namespace bsq::test
