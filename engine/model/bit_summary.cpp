// Counting bits.
#include "engine/model/bit_summary.h"

#include "engine/network/integer_inputs.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace bsq {
namespace {

std::vector<FloatTensor> float_tensors_of(const Network& network) {
  std::vector<FloatTensor> tensors;
  for (const ParameterSpec& spec : network.parameters())
    if (spec.group == ParameterGroup::plain) tensors.push_back({spec.name, spec.role, spec.shape.numel()});
  for (const StateSpec& state : network.states()) tensors.push_back({state.name, state.role, state.numel});
  return tensors;
}

/// By name of the weight.
std::map<std::string, int> inputs_of_weights(const Network& network) {
  std::map<std::string, int> inputs;
  const std::vector<int> bits = input_bits(network);
  for (std::size_t node = 0; node < bits.size(); ++node)
    for (const ParameterId id : network.nodes()[node].layer->parameters()) {
      const ParameterSpec& spec = network.parameters()[static_cast<std::size_t>(id)];
      if (spec.role == Role::weight) inputs[spec.name] = bits[node];
    }
  return inputs;
}

TensorBits bits_of(const TensorCounts& counts, const ParameterSpec& spec) {
  TensorBits tensor;
  tensor.name = spec.name;
  tensor.shape = file_shape(spec.shape);
  tensor.numel = spec.shape.numel();
  tensor.bits = counts.bits;
  tensor.fixed = spec.widths.fixed;
  tensor.empty = counts.zeros == tensor.numel;
  tensor.odd = counts.is_odd;
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
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    TensorBits tensor = bits_of(counts[i], layout.slots[i].spec);
    summary.parameters += tensor.numel;
    summary.weight_bits += tensor.numel * std::max(tensor.bits, 1);  // as an empty plane, a pruned tensor counts 1 bit
    summary.stored_bits += tensor.stored_bits();
    summary.tensors.push_back(std::move(tensor));
  }
  summary.packed_bytes = (summary.stored_bits + 7) / 8 + 4 * float_parameters;
  summary.float_bytes = 4 * (summary.parameters + float_parameters);
  return summary;
}

BitSummary summarize_bits(const StoredWeights& weights, const ArenaLayout& layout, std::int64_t float_parameters) {
  return summarize_bits(count_weights(weights), layout, float_parameters);
}

BitSummary summarize_bits(const std::vector<TensorCounts>& counts, const Network& network) {
  const std::vector<FloatTensor> float_tensors = float_tensors_of(network);
  const std::int64_t float_parameters =
      std::accumulate(float_tensors.begin(), float_tensors.end(), std::int64_t{0},
                      [](std::int64_t sum, const FloatTensor& tensor) { return sum + tensor.numel; });
  BitSummary summary =
      summarize_bits(counts, lay_out(network.parameters(), ParameterGroup::quantized), float_parameters);
  summary.float_tensors = float_tensors;
  const std::map<std::string, int> inputs = inputs_of_weights(network);
  for (TensorBits& tensor : summary.tensors)
    if (const auto found = inputs.find(tensor.name); found != inputs.end()) tensor.input_bits = found->second;
  return summary;
}

BitSummary summarize_bits(const StoredWeights& weights, const Network& network) {
  return summarize_bits(count_weights(weights), network);
}

std::int64_t TensorBits::stored_bits() const {
  if (bits == kFloatBits) return numel * kFloatBits;
  return (empty ? 0 : numel * (bits + (odd ? 0 : 1))) + kFloatBits;
}

bool BitSummary::is_quantized() const {
  return std::any_of(tensors.begin(), tensors.end(),
                     [](const TensorBits& tensor) { return tensor.bits != kFloatBits; });
}

double BitSummary::bits_per_parameter() const {
  return static_cast<double>(weight_bits) / static_cast<double>(parameters);
}

double BitSummary::stored_bits_per_parameter() const {
  return static_cast<double>(stored_bits) / static_cast<double>(parameters);
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
