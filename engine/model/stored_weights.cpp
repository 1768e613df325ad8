// What all forms of weights share, and float weights.
#include "engine/model/stored_weights.h"

#include "engine/files/json.h"
#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <cstdlib>

namespace bsq {
namespace {

/// `layer1.0.conv1.weight` -> `layer1.0.conv1`.
std::string module_of(const std::string& parameter) {
  return parameter.substr(0, parameter.rfind('.'));
}
bool is_bias(const std::string& parameter) {
  return parameter.ends_with(".bias");
}

}  // namespace

TensorCounts StoredWeights::count(std::size_t slot) const {
  const std::vector<float> weights = values(slot);
  TensorCounts counts{.bits = bits(slot), .zeros = std::count(weights.begin(), weights.end(), 0.0F), .ones = {}};
  const std::optional<Levels> found = levels(slot);
  if (!found) return counts;
  counts.scale = scale_of(*found);
  for (int bit = counts.bits - 1; bit >= 0; --bit)
    counts.ones.push_back(
        std::count_if(found->k.begin(), found->k.end(), [bit](int level) { return (std::abs(level) >> bit) & 1; }));
  counts.is_odd = !is_lopsided(*found) && are_odd(found->k);  // a lopsided grid has an offset already
  return counts;
}

bool StoredWeights::is_quantized() const {
  for (std::size_t slot = 0; slot < size(); ++slot)
    if (bits(slot) != kFloatBits) return true;
  return false;
}

std::vector<HostTensor> StoredDense::tensors(const ArenaLayout& layout, std::string_view suffix) const {
  std::vector<HostTensor> tensors;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    tensors.push_back(HostTensor::from<float>(spec.name + std::string(suffix), file_shape(spec.shape),
                                              to_file_layout(tensors_[i], spec.shape)));
  }
  return tensors;
}

const std::set<std::size_t>& StoredWeights::turned() const {
  static const std::set<std::size_t> none;
  return none;
}

Weights StoredWeights::with_turned(const std::set<std::size_t>& /*slots*/) const {
  fail(ErrorKind::internal, "weights in the form {} have no scales to be turned", form());
}

std::vector<std::span<const float>> StoredDense::numbers() const {
  return {tensors_.begin(), tensors_.end()};
}

Weights StoredDense::read(const TensorFile& file, const ArenaLayout& layout, int /*max_bits*/) {
  DenseTensors tensors;
  for (const ParameterSlot& slot : layout.slots) tensors.push_back(read_tensor(file, slot.spec.name, slot.spec));
  return std::make_shared<StoredDense>(std::move(tensors));
}

Weights StoredDense::convert(const Weights& from, const std::vector<int>& /*bits*/) {
  if (from->form() == kFloatForm) return from;
  return std::make_shared<StoredDense>(all_values(*from));
}

Weights initial_weights(const ArenaLayout& layout, std::uint64_t seed) {
  DenseTensors tensors;
  for (const ParameterSlot& slot : layout.slots) tensors.push_back(initial_values(slot.spec, seed));
  return std::make_shared<StoredDense>(std::move(tensors));
}

DenseTensors all_values(const StoredWeights& weights) {
  DenseTensors result;
  for (std::size_t slot = 0; slot < weights.size(); ++slot) result.push_back(weights.values(slot));
  return result;
}

std::vector<TensorCounts> count_weights(const StoredWeights& weights) {
  std::vector<TensorCounts> result;
  for (std::size_t slot = 0; slot < weights.size(); ++slot) result.push_back(weights.count(slot));
  return result;
}

bool are_soft(const StoredWeights& weights) {
  return weights.size() > 0 && weights.bits(0) != kFloatBits && !weights.levels(0);
}

std::string grid_conflict(const StoredWeights& weights) {
  for (std::size_t slot = 0; slot < weights.size(); ++slot) {
    const std::optional<Levels> levels = weights.levels(slot);
    if (levels && is_lopsided(*levels))
      return fmt::format(
          "has weights of the levels {} .. {} (lsq.range: asymmetric), and other grids are symmetric; train them on by "
          "stage lsq, or by finetune.method: lsq, with the same range, or start from float weights",
          levels->low, levels->high);
  }
  return {};
}

std::string width_conflict(const StoredWeights& weights, const ArenaLayout& layout) {
  if (!weights.is_quantized()) return {};
  if (are_soft(weights))
    return fmt::format(
        "has weights of stage {} that are still soft, on no grid; take the model of the end of that "
        "stage",
        weights.form());
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    const WidthRule& widths = layout.slots[i].spec.widths;
    const int bits = weights.bits(i);
    if (widths.fixed ? bits == widths.start : widths.most == 0 || bits <= widths.most) continue;
    return fmt::format("has {} bits in {}, where the network says {}{}; start from float weights, or say its widths",
                       bits, layout.slots[i].spec.name, widths.fixed ? widths.start : widths.most,
                       widths.fixed ? ", fixed" : " at most");
  }
  return {};
}

std::string symmetric_conflict(const StoredWeights& weights, const ArenaLayout& layout) {
  const std::string why = width_conflict(weights, layout);
  return why.empty() ? grid_conflict(weights) : why;
}

std::string scheme_to_json(const StoredWeights& weights, const ArenaLayout& layout) {
  std::vector<std::pair<std::string, int>> bits;
  for (std::size_t i = 0; i < layout.slots.size(); ++i) bits.emplace_back(layout.slots[i].spec.name, weights.bits(i));
  return scheme_to_json(bits);
}

std::string scheme_to_json(const std::vector<std::pair<std::string, int>>& bits) {
  nlohmann::ordered_json scheme = nlohmann::ordered_json::object();
  for (const auto& [name, width] : bits) {
    auto& entry = scheme[module_of(name)];
    if (entry.is_null()) entry = {0, 0};
    entry[is_bias(name) ? 1 : 0] = width;
  }
  return scheme.dump();
}

std::vector<int> scheme_from_json(const std::string& text, const ArenaLayout& layout, const std::string& where) {
  const auto scheme = parse_json_or_discard(text);
  std::vector<int> bits;
  for (const ParameterSlot& slot : layout.slots) {
    const std::string module = module_of(slot.spec.name);
    const bool known = scheme.is_object() && scheme.contains(module) && scheme[module].is_array() &&
                       scheme[module].size() == 2 && scheme[module][is_bias(slot.spec.name)].is_number_integer();
    const auto width = known ? scheme[module][is_bias(slot.spec.name)].get<std::int64_t>() : -1;
    if (width < 0 || width > kMaxBits)
      fail(ErrorKind::checkpoint, "{}: the scheme gives no width in 0..{} for {}; is it of another network?", where,
           kMaxBits, slot.spec.name);
    bits.push_back(static_cast<int>(width));
  }
  return bits;
}

}  // namespace bsq
