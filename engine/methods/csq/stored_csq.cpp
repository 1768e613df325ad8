#include "engine/methods/csq/stored_csq.h"

#include "engine/methods/csq/mask_budget.h"
#include "engine/model/plane_tensors.h"
#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"
#include "kernels/published_rounding.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bsq {
namespace {

using published::coefficient;
using published::max_level;

std::string mask_name(const std::string& parameter) {
  return plane_name(parameter, "mask_");
}
std::string gates_name(const std::string& parameter) {
  return plane_name(parameter, "gates_");
}

double gate_of(float x, float temperature, bool is_hard) {
  return is_hard ? (x > 0 ? 1.0 : 0.0) : 1 / (1 + std::exp(-static_cast<double>(temperature) * x));
}

MaskSpan span_of(const CsqTensorAtRest& tensor, bool soft_masks) {
  return bsq::span_of(tensor.mask, tensor.fixed, soft_masks);
}

Levels hardened(const CsqTensorAtRest& tensor, bool soft_masks) {
  const MaskSpan span = span_of(tensor, soft_masks);
  const std::size_t numel = tensor.numel();
  std::vector<int> k(numel);
  if (span.bits == 0) return symmetric_levels(0, std::abs(tensor.scale), std::move(k));
  const int sign = tensor.scale < 0 ? -1 : 1;
  const int below = tensor.bits - span.first - span.bits;  // planes
  for (int b = span.first; b < span.first + span.bits; ++b) {
    if (!tensor.fixed && !selects(tensor.mask[static_cast<std::size_t>(b)], soft_masks)) continue;
    const int value = sign << (tensor.bits - 1 - b - below);
    const std::size_t plane = static_cast<std::size_t>(b) * numel;
    for (std::size_t i = 0; i < numel; ++i) {
      const int positive = tensor.p[plane + i] > 0 ? 1 : 0, negative = tensor.n[plane + i] > 0 ? 1 : 0;
      k[i] += value * (positive - negative);
    }
  }
  const double factor = static_cast<double>(max_level(span.bits)) * (1 << below) / max_level(tensor.bits);
  return symmetric_levels(span.bits, static_cast<float>(std::abs(static_cast<double>(tensor.scale)) * factor),
                          std::move(k));
}

/// Planes of the bits of |k|, those of k > 0 in p.
CsqTensorAtRest tensor_of(std::span<const int> k, int bits, float scale, float mask) {
  const auto width = static_cast<std::size_t>(bits);
  CsqTensorAtRest tensor{.bits = bits,
                         .scale = scale,
                         .p = std::vector<float>(width * k.size()),
                         .n = std::vector<float>(width * k.size()),
                         .mask = std::vector<float>(width, mask)};
  for (std::size_t i = 0; i < k.size(); ++i) {
    std::vector<float>& side = k[i] > 0 ? tensor.p : tensor.n;
    for (std::size_t b = 0; b < width; ++b)
      side[b * k.size() + i] = static_cast<float>((std::abs(k[i]) >> (width - 1 - b)) & 1);
  }
  return tensor;
}

/// The start of training: the planes that METHOD 1 makes of a float tensor.
CsqTensorAtRest tensor_from_float(const std::vector<float>& values, int bits) {
  float scale = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) fail(ErrorKind::diverged, "a weight is {}; only finite ones have bits", value);
    scale = std::max(scale, std::abs(value));
  }
  std::vector<int> k(values.size());
  const auto most = static_cast<float>(max_level(bits));
  if (scale > 0)
    std::transform(values.begin(), values.end(), k.begin(), [scale, most](float value) {
      return static_cast<int>(std::clamp(std::nearbyint(value * most / scale), -most, most));
    });
  return tensor_of(k, bits, scale, 0);
}

CsqTensorAtRest tensor_from_levels(const Levels& levels) {
  require(levels.low == -levels.high && levels.unit.size() == 1, "CSQ's grid is symmetric, with one unit");
  return tensor_of(levels.k, std::max(levels.bits, 1), scale_of(levels), levels.bits == 0 ? -1.0F : 1.0F);
}

CsqGates read_gates(const TensorFile& file, const std::string& name) {
  const HostTensor& tensor = file.at(name);
  const auto numbers = tensor.numel() == 2 ? tensor.values<float>() : std::span<const float>();
  const bool is_sound = numbers.size() == 2 && numbers[0] > 0 && std::isfinite(numbers[0]) &&
                        (numbers[1] == 0 || numbers[1] == 1 || numbers[1] == 2);
  if (!is_sound)
    fail(ErrorKind::checkpoint, "{}: {} must hold a temperature above 0 and a hardness of 0, 1 or 2",
         file.path.string(), name);
  return {numbers[0], static_cast<CsqHardness>(static_cast<int>(numbers[1]))};
}

}  // namespace

Levels hardened(const CsqTensorAtRest& tensor) {
  return hardened(tensor, false);
}

Levels without_empty_planes(const Levels& levels) {
  unsigned ones = 0;
  for (const int k : levels.k) ones |= static_cast<unsigned>(std::abs(k));
  if (ones == 0) return symmetric_levels(0, scale_of(levels), levels.k);
  const int below = std::countr_zero(ones), bits = std::bit_width(ones) - below;
  if (bits == levels.bits) return levels;
  std::vector<int> k(levels.k.size());
  std::transform(levels.k.begin(), levels.k.end(), k.begin(), [below](int level) { return level / (1 << below); });
  const double scale = levels.unit.front() * (1 << below) * max_level(bits);
  return symmetric_levels(bits, static_cast<float>(scale), std::move(k));
}

StoredCsq::StoredCsq(std::vector<CsqTensorAtRest> tensors, CsqGates gates)
    : tensors_(std::move(tensors)), gates_(gates) {
  if (!is_hard()) return;
  for (const CsqTensorAtRest& tensor : tensors_) {
    const Levels levels = hardened(tensor, false);
    levels_.push_back(tensor.fixed ? levels : without_empty_planes(levels));
  }
}

std::vector<float> StoredCsq::values(std::size_t slot) const {
  const CsqTensorAtRest& tensor = tensors_[slot];
  if (is_hard()) return grid_weights(levels_[slot].k, levels_[slot].bits, scale_of(levels_[slot]));
  const std::size_t numel = tensor.numel();
  std::vector<double> sum(numel);
  for (int b = 0; b < tensor.bits; ++b) {
    const float m = tensor.mask[static_cast<std::size_t>(b)];
    const bool hard_masks = gates_.hardness != CsqHardness::none;
    const double mask = tensor.fixed ? 1.0 : gate_of(m, gates_.temperature, hard_masks);
    const double weight = static_cast<double>(coefficient(tensor.bits, b)) * mask;
    const std::size_t plane = static_cast<std::size_t>(b) * numel;
    for (std::size_t i = 0; i < numel; ++i)
      sum[i] += weight * (gate_of(tensor.p[plane + i], gates_.temperature, false) -
                          gate_of(tensor.n[plane + i], gates_.temperature, false));
  }
  std::vector<float> values(numel);
  std::transform(sum.begin(), sum.end(), values.begin(),
                 [&](double total) { return static_cast<float>(static_cast<double>(tensor.scale) * total); });
  return values;
}

std::optional<Levels> StoredCsq::levels(std::size_t slot) const {
  if (!is_hard()) return {};
  return levels_[slot];
}

int StoredCsq::bits(std::size_t slot) const {
  return is_hard() ? levels_[slot].bits : span_of(tensors_[slot], gates_.hardness == CsqHardness::none).bits;
}

TensorCounts StoredCsq::count(std::size_t slot) const {
  const std::vector<float> weights = values(slot);
  return count(slot, std::count(weights.begin(), weights.end(), 0.0F));
}

TensorCounts StoredCsq::count(std::size_t slot, std::int64_t zeros) const {
  const Levels levels = is_hard() ? levels_[slot] : hardened(tensors_[slot], gates_.hardness == CsqHardness::none);
  TensorCounts counts{.bits = levels.bits, .scale = scale_of(levels), .zeros = zeros, .ones = {}};
  for (int bit = counts.bits - 1; bit >= 0; --bit)
    counts.ones.push_back(
        std::count_if(levels.k.begin(), levels.k.end(), [bit](int level) { return (std::abs(level) >> bit) & 1; }));
  return counts;
}

std::vector<HostTensor> StoredCsq::tensors(const ArenaLayout& layout, std::string_view suffix) const {
  const auto named = [&](const std::string& name) { return name + std::string(suffix); };
  std::vector<HostTensor> tensors;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    const CsqTensorAtRest& tensor = tensors_[i];
    tensors.push_back(planes_to_file(tensor.p, spec, tensor.bits, named(plane_name(spec.name, "p"))));
    tensors.push_back(planes_to_file(tensor.n, spec, tensor.bits, named(plane_name(spec.name, "n"))));
    tensors.push_back(HostTensor::from<float>(named(scale_name(spec.name)), {1}, std::span(&tensor.scale, 1)));
    tensors.push_back(HostTensor::from<float>(named(mask_name(spec.name)), {tensor.bits}, tensor.mask));
    const std::vector<float> gates = {gates_.temperature, static_cast<float>(gates_.hardness)};
    if (suffix.empty()) tensors.push_back(HostTensor::from<float>(gates_name(spec.name), {2}, gates));
  }
  return tensors;
}

std::vector<std::span<const float>> StoredCsq::numbers() const {
  std::vector<std::span<const float>> numbers;
  for (const auto& tensor : tensors_) {
    numbers.emplace_back(tensor.p);
    numbers.emplace_back(tensor.n);
    numbers.emplace_back(&tensor.scale, 1);
    numbers.emplace_back(tensor.mask);
  }
  return numbers;
}

std::vector<std::string> StoredCsq::tensor_names(const std::string& parameter) {
  return {plane_name(parameter, "p"), plane_name(parameter, "n"), scale_name(parameter), mask_name(parameter),
          gates_name(parameter)};
}

Weights StoredCsq::read(const TensorFile& file, const ArenaLayout& layout, int max_bits) {
  std::vector<CsqTensorAtRest> result;
  std::optional<CsqGates> gates;
  for (const ParameterSlot& slot : layout.slots) {
    const std::string& parameter = slot.spec.name;
    const std::string name = plane_name(parameter, "p");
    const int bits = count_planes(file, name, slot.spec.most_bits(max_bits));
    const HostTensor& mask = file.at(mask_name(parameter));
    if (mask.numel() != bits)
      fail(ErrorKind::checkpoint, "{}: {} has {} numbers for {} planes", file.path.string(), mask.name, mask.numel(),
           bits);
    const CsqGates own = read_gates(file, gates_name(parameter));
    if (gates && *gates != own)
      fail(ErrorKind::checkpoint, "{}: {} differs from the gates of other layers; the file is damaged",
           file.path.string(), gates_name(parameter));
    gates = own;
    const auto m = mask.values<float>();
    result.push_back({.bits = bits,
                      .scale = read_number(file, scale_name(parameter)),
                      .p = read_planes(file, name, slot.spec, bits),
                      .n = read_planes(file, plane_name(parameter, "n"), slot.spec, bits),
                      .mask = {m.begin(), m.end()},
                      .fixed = slot.spec.widths.fixed});
  }
  return std::make_shared<StoredCsq>(std::move(result), gates.value_or(CsqGates{}));
}

Weights StoredCsq::convert(const Weights& from, const std::vector<int>& bits) {
  if (from->form() == kForm) return from;
  std::vector<CsqTensorAtRest> tensors;
  CsqGates gates;
  for (std::size_t slot = 0; slot < from->size(); ++slot) {
    const std::optional<Levels> levels = from->levels(slot);
    if (levels) gates.hardness = CsqHardness::all;
    tensors.push_back(levels ? tensor_from_levels(*levels) : tensor_from_float(from->values(slot), bits.at(slot)));
  }
  return std::make_shared<StoredCsq>(std::move(tensors), gates);
}

}  // namespace bsq
