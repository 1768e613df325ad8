// Counting bits.
#include "engine/model/bit_summary.h"

#include <algorithm>

namespace bsq {
namespace {

std::int64_t float_parameters_of(const Network& network) {
  std::int64_t count = 0;
  for (const ParameterSpec& spec : network.parameters())
    if (spec.group == ParameterGroup::plain) count += spec.shape.numel();
  for (const StateSpec& state : network.states()) count += state.numel;
  return count;
}

TensorBits bits_of(const TensorCounts& counts, const ParameterSpec& spec) {
  TensorBits tensor;
  tensor.name = spec.name;
  tensor.shape = file_shape(spec.shape);
  tensor.numel = spec.shape.numel();
  tensor.bits = counts.bits;
  tensor.empty = counts.zeros == tensor.numel;
  tensor.scale = static_cast<double>(counts.scale);
  tensor.zero_percent = 100.0 * static_cast<double>(counts.zeros) / static_cast<double>(tensor.numel);
  for (const std::int64_t ones : counts.ones)
    tensor.plane_density_percent.push_back(static_cast<double>(100 * ones) / static_cast<double>(tensor.numel));
  return tensor;
}

}  // namespace

BitSummary summarize_bits(const std::vector<TensorCounts>& counts, const ArenaLayout& layout,
                          std::int64_t float_parameters) {
  BitSummary summary;
  summary.float_parameters = float_parameters;
  std::int64_t packed_bits = 0;
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    TensorBits tensor = bits_of(counts[i], layout.slots[i].spec);
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

BitSummary summarize_bits(const StoredWeights& weights, const ArenaLayout& layout, std::int64_t float_parameters) {
  return summarize_bits(count_weights(weights), layout, float_parameters);
}

BitSummary summarize_bits(const std::vector<TensorCounts>& counts, const Network& network) {
  return summarize_bits(counts, lay_out(network.parameters(), ParameterGroup::quantized), float_parameters_of(network));
}

BitSummary summarize_bits(const StoredWeights& weights, const Network& network) {
  return summarize_bits(count_weights(weights), network);
}

bool BitSummary::is_quantized() const {
  return std::any_of(tensors.begin(), tensors.end(),
                     [](const TensorBits& tensor) { return tensor.bits != kFloatBits; });
}

double BitSummary::bits_per_parameter() const {
  return static_cast<double>(weight_bits) / static_cast<double>(parameters);
}

double BitSummary::compression() const {
  return weight_bits == 0 ? 0.0 : kFloatBits * static_cast<double>(parameters) / static_cast<double>(weight_bits);
}

double BitSummary::compression_without_empty() const {
  std::int64_t bits = 0;
  for (const TensorBits& tensor : tensors) bits += tensor.empty ? 0 : tensor.numel * tensor.bits;
  return bits == 0 ? 0.0 : kFloatBits * static_cast<double>(parameters) / static_cast<double>(bits);
}

double BitSummary::compression_on_disk() const {
  return static_cast<double>(float_bytes) / static_cast<double>(packed_bytes);
}

}  // namespace bsq
