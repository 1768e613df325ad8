#include "models/families.h"

#include <fmt/format.h>

namespace bsq {
namespace {

void check_depth(const Config& config, std::vector<Conflict>& conflicts) {
  const int depth = config.model.depth;
  if (config.model.arch != "resnet" || depth % 6 == 2) return;
  const int below = depth - (depth + 4) % 6;
  conflicts.push_back(
      {{"model.depth"}, fmt::format("model.depth = {}; must be 6n+2, such as {} or {}", depth, below, below + 6)});
}

void add_resnet_keys(ConfigSchema& schema) {
  auto model = schema.rows(
      "model", [](auto& config) -> auto& { return config.model; });
  model.add("depth", &ModelConfig::depth, between(8, 10000), "layers, 6n+2: 8, 14, 20, 32, 44, 56, 110", "--depth");
  model.add("width", &ModelConfig::width, between(1, 4096), "channels of the first group of blocks");
  schema.add_check("model", check_depth);
}

}  // namespace

const std::vector<NetworkFamily>& network_families() {
  static const std::vector<NetworkFamily> table = {
      {{"resnet", add_resnet_keys}},
  };
  return table;
}

}  // namespace bsq
