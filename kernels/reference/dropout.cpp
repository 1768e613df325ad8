// The oracle: dropout. Contract: kernels/ops/dropout.h.
#include "kernels/random.h"
#include "kernels/reference/elements.h"
#include "kernels/reference/reference_backend.h"

namespace bsq {
namespace {

bool is_dropped(const DropoutRule& rule, const SampleKeys& keys, int row, std::int64_t element) {
  const std::int32_t sample = keys.samples[keys.inputs->first_sample + row];
  const auto in_group = static_cast<int>(element % kDropoutGroup);
  const PhiloxCounter words = draw_dropout(keys.seed, keys.stream, keys.inputs->epoch, sample, element / kDropoutGroup,
                                           in_group % kDropoutCounters);
  const std::uint32_t bits = words[static_cast<std::size_t>(in_group / kDropoutCounters)];
  return static_cast<std::int32_t>(bits >> 8) < rule.threshold;
}

}  // namespace

void ReferenceBackend::dropout_forward(const DropoutForwardArgs& args) {
  const auto& [batch, sample_size, dtype] = args.geometry;
  const double scale = args.output_unit == nullptr ? args.rule.scale : 1;
  if (args.output_unit != nullptr)
    *args.output_unit = args.rule.scale * (args.unit.activation == nullptr ? 1.0F : *args.unit.activation);
  for (int row = 0; row < batch; ++row) {
    for (std::int64_t element = 0; element < sample_size; ++element) {
      const std::int64_t at = row * sample_size + element;
      const bool dropped = is_dropped(args.rule, args.keys, row, element);
      reference::store(dtype, args.output, at, dropped ? 0 : scale * reference::load(dtype, args.input, at));
    }
  }
}

void ReferenceBackend::dropout_backward(const DropoutBackwardArgs& args) {
  const auto& [batch, sample_size, dtype] = args.geometry;
  const double scale = args.has_unit ? 1 : args.rule.scale;
  for (int row = 0; row < batch; ++row) {
    for (std::int64_t element = 0; element < sample_size; ++element) {
      const std::int64_t at = row * sample_size + element;
      const bool dropped = is_dropped(args.rule, args.keys, row, element);
      const double d_x = dropped ? 0 : scale * reference::load(dtype, args.d_output, at);
      reference::store_gradient(dtype, args.d_input, at, d_x, args.mode);
    }
  }
}

}  // namespace bsq
