// The oracle: the quantizer of LSQ+. Contract: kernels/ops/offset_quantizer.h.
#include "kernels/reference/elements.h"
#include "kernels/reference/reference_backend.h"

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

/// A number among the levels, and the level that it becomes.
struct Leveled {
  float place = 0;
  float level = 0;
};

Leveled leveled(const OffsetQuantizerGeometry& geometry, const OffsetQuantizerParameters& parameters, const void* input,
                std::int64_t index) {
  const auto most = static_cast<float>((1 << geometry.bits) - 1);
  const auto number = static_cast<float>(reference::load(geometry.dtype, input, index));
  const float place = (number - *parameters.offset) / *parameters.step;
  return {place, std::nearbyint(std::min(std::max(place, 0.0F), most))};  // this order passes a NaN on
}

}  // namespace

std::size_t ReferenceBackend::offset_quantizer_scratch_bytes(const OffsetQuantizerGeometry& /*of*/) {
  return 0;
}

void ReferenceBackend::offset_quantizer_forward(const OffsetQuantizerForwardArgs& args) {
  const auto& [geometry, parameters, input, output] = args;
  for (std::int64_t i = 0; i < geometry.numel; ++i) {
    const double product = double{*parameters.step} * leveled(geometry, parameters, input, i).level;
    reference::store(geometry.dtype, output, i, static_cast<float>(product) + *parameters.offset);
  }
}

void ReferenceBackend::offset_quantizer_backward(const OffsetQuantizerBackwardArgs& args) {
  const auto& [geometry, parameters, gain, input, d_output, d_input, d_step, d_offset, scratch, mode] = args;
  const auto most = static_cast<float>((1 << geometry.bits) - 1);
  double sum_of_step = 0, sum_of_offset = 0;
  for (std::int64_t i = 0; i < geometry.numel; ++i) {
    const auto [place, level] = leveled(geometry, parameters, input, i);
    const double dy = reference::load(geometry.dtype, d_output, i);
    const bool is_outside = place < 0 || place > most;
    sum_of_step += dy * (is_outside ? level : double{level} - place);
    if (is_outside) sum_of_offset += dy;
    reference::store_gradient(geometry.dtype, d_input, i, is_outside ? 0 : dy, mode);
  }
  *d_step = static_cast<float>(gain * sum_of_step);
  *d_offset = static_cast<float>(gain * sum_of_offset);
}

}  // namespace bsq
