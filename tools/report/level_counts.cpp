#include "tools/report/level_counts.h"

#include "engine/model/integer_tensors.h"

namespace bsq {
namespace {

std::vector<std::int64_t> counts_of(const IntegerTensor& tensor) {
  const int most = tensor.high() + (tensor.is_lopsided ? 1 : 0);  // to both sides
  const int sign = tensor.scale > 0 ? 1 : tensor.scale < 0 ? -1 : 0;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(2 * most + 1));
  for (const int level : tensor.levels) ++counts[static_cast<std::size_t>(sign * level + most)];
  return counts;
}

}  // namespace

LevelCounts count_levels(const OpenModel& model) {
  LevelCounts all;
  if (!model.weights->is_quantized() || are_soft(*model.weights)) return all;
  for (const IntegerTensor& tensor : integer_weights(*model.weights, model.layout)) all.push_back(counts_of(tensor));
  return all;
}

}  // namespace bsq
