// Where the tensors of a deployed network lie in one piece of memory: those that are needed at the same time apart from
// each other.
#pragma once

#include "engine/deployed/deployed_network.h"

#include <vector>

namespace bsq {

struct MemoryPlan {
  std::vector<std::size_t> offsets;  // by tensor
  std::size_t bytes = 0;
};

MemoryPlan plan_memory(const DeployedNetwork& network);

/// By tensor: the node that reads it last; of the one that the head reads, the number of nodes.
std::vector<std::size_t> last_readers(const DeployedNetwork& network);

}  // namespace bsq
