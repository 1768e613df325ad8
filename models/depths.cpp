#include "models/depths.h"

#include <fmt/format.h>

#include <algorithm>

namespace bsq {

std::string DepthRule::words(int depth) const {
  const int below = std::max(1, (depth - others) / layers) * layers + others;
  return fmt::format("{}n+{}, such as {} or {}", layers, others, below, below + layers);
}

void check_depth(const Config& config, const DepthRule& rule, const std::string& why,
                 std::vector<Conflict>& conflicts) {
  const int depth = config.family<int>("depth");
  if (rule.allows(depth)) return;
  conflicts.push_back({{"model.depth"}, fmt::format("model.depth = {}; must be {}{}", depth, rule.words(depth), why)});
}

}  // namespace bsq
