#include "engine/model/integer_tensors.h"

#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {
namespace {

/// OHWI -> the order of files. Levels are small, so that floats hold them.
std::vector<int> in_file_order(const std::vector<int>& levels, const Shape& shape) {
  const std::vector<float> ordered = to_file_layout({levels.begin(), levels.end()}, shape);
  std::vector<int> result(ordered.size());
  std::transform(ordered.begin(), ordered.end(), result.begin(), [](float level) { return static_cast<int>(level); });
  return result;
}

}  // namespace

bool IntegerTensor::is_empty() const {
  return std::all_of(levels.begin(), levels.end(), [](int level) { return level == 0; });
}

float IntegerTensor::unit() const {
  return scale / static_cast<float>(std::max(-low(), 1));
}

std::vector<IntegerTensor> integer_weights(const StoredWeights& weights, const ArenaLayout& layout) {
  std::vector<IntegerTensor> result;
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    const std::optional<Levels> levels = weights.levels(i);
    if (!levels)
      fail(ErrorKind::usage,
           "{}: weights of form {} are on no grid yet, so that they are no integers; take the model of the end of the "
           "stage, or export floats",
           spec.name, weights.form());
    result.push_back({.name = spec.name,
                      .shape = file_shape(spec.shape),
                      .bits = weights.bits(i),
                      .scale = scale_of(*levels),
                      .levels = in_file_order(levels->k, spec.shape),
                      .is_lopsided = is_lopsided(*levels)});
  }
  return result;
}

}  // namespace bsq
