// Counting bits.
#include "engine/precision.h"

#include <algorithm>

namespace bsq {
namespace {

constexpr int kFloatBits = 32;

double percent_of_zeros(const std::vector<float>& values) {
  const auto zeros = std::count(values.begin(), values.end(), 0.0F);
  return values.empty() ? 0.0 : 100.0 * static_cast<double>(zeros) / static_cast<double>(values.size());
}

}  // namespace

PrecisionSummary summarize_precision(const HostWeights& weights, const ArenaLayout& layout,
                                     std::int64_t float_parameters) {
  PrecisionSummary summary;
  summary.float_parameters = float_parameters;
  std::int64_t packed_bits = 0;
  const DenseTensors dense = to_dense(weights);
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    TensorPrecision tensor;
    tensor.name = spec.name;
    tensor.shape = file_shape(spec.shape);
    tensor.numel = spec.shape.numel();
    tensor.bits = kFloatBits;
    tensor.zero_percent = percent_of_zeros(dense[i]);
    tensor.empty = std::all_of(dense[i].begin(), dense[i].end(), [](float value) { return value == 0.0F; });
    if (const auto* planes = std::get_if<std::vector<BitPlanes>>(&weights)) {
      tensor.bits = (*planes)[i].bits;
      tensor.scale = static_cast<double>((*planes)[i].scale);
      tensor.plane_density_percent = plane_density_percent((*planes)[i]);
    }
    if (const auto* fixed = std::get_if<std::vector<FixedPoint>>(&weights)) {
      tensor.bits = (*fixed)[i].bits;
      tensor.scale = static_cast<double>((*fixed)[i].scale);
      if (tensor.bits > 0) tensor.plane_density_percent = plane_density_percent(planes_from_fixed((*fixed)[i]));
    }
    summary.parameters += tensor.numel;
    summary.weight_bits += tensor.numel * std::max(tensor.bits, 1);  // as an empty plane, a pruned tensor counts 1 bit
    if (tensor.bits == kFloatBits)
      packed_bits += tensor.numel * kFloatBits;
    else
      packed_bits += (tensor.empty ? 0 : tensor.numel * (tensor.bits + 1)) + kFloatBits;
    summary.tensors.push_back(std::move(tensor));
  }
  summary.packed_bytes = (packed_bits + 7) / 8 + 4 * float_parameters;
  summary.float_bytes = 4 * (summary.parameters + float_parameters);
  return summary;
}

PrecisionSummary summarize_precision(const HostWeights& weights, const Network& network) {
  std::int64_t float_parameters = 0;
  for (const ParameterSpec& spec : network.parameters())
    if (spec.group == ParameterGroup::plain) float_parameters += spec.shape.numel();
  for (const StateSpec& state : network.states()) float_parameters += state.numel;
  return summarize_precision(weights, lay_out(network.parameters(), ParameterGroup::quantized), float_parameters);
}

double PrecisionSummary::bits_per_parameter() const {
  return static_cast<double>(weight_bits) / static_cast<double>(parameters);
}

double PrecisionSummary::compression() const {
  return weight_bits == 0 ? 0.0 : kFloatBits * static_cast<double>(parameters) / static_cast<double>(weight_bits);
}

double PrecisionSummary::compression_without_empty() const {
  std::int64_t bits = 0;
  for (const TensorPrecision& tensor : tensors) bits += tensor.empty ? 0 : tensor.numel * tensor.bits;
  return bits == 0 ? 0.0 : kFloatBits * static_cast<double>(parameters) / static_cast<double>(bits);
}

double PrecisionSummary::compression_on_disk() const {
  return static_cast<double>(float_bytes) / static_cast<double>(packed_bytes);
}

}  // namespace bsq
