// Levels from effective weights, which are scale k / (2^bits - 1).
#include "tools/report/level_counts.h"

#include "engine/model/stored_weights.h"
#include "models/resnet.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

template <typename Form>
std::vector<std::int64_t> counts_of(const Form& tensor) {
  const int most = (1 << tensor.bits) - 1;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(2 * most + 1));
  for (const float weight : effective_weights(tensor)) {
    const double level =
        tensor.scale == 0 ? 0 : static_cast<double>(weight) / std::abs(static_cast<double>(tensor.scale)) * most;
    ++counts[static_cast<std::size_t>(std::clamp<long>(std::lround(level), -most, most) + most)];
  }
  return counts;
}

template <typename Form>
LevelCounts count_all(const std::vector<Form>& tensors) {
  LevelCounts all;
  for (const Form& tensor : tensors) all.push_back(counts_of(tensor));
  return all;
}

}  // namespace

LevelCounts count_levels(const TensorFile& model) {
  const Network network = make_resnet(resnet_options_of(model));
  const HostWeights weights = read_weights(model, lay_out(network.parameters(), ParameterGroup::quantized), kMaxBits);
  if (const auto* planes = std::get_if<std::vector<BitPlanes>>(&weights)) return count_all(*planes);
  if (const auto* fixed = std::get_if<std::vector<FixedPoint>>(&weights)) return count_all(*fixed);
  return {};
}

}  // namespace bsq
