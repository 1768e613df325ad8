#include "engine/methods/bsq/stored_planes.h"

#include "engine/methods/scale_signs.h"
#include "engine/model/plane_tensors.h"
#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace bsq {
namespace {

BitPlanes empty_planes(std::int64_t numel, int bits, float scale) {
  const std::vector<float> none(static_cast<std::size_t>(bits * numel));
  return {.bits = bits, .scale = scale, .numel = numel, .p = none, .n = none};
}

BitPlanes planes_of_values(const std::vector<float>& values, int bits) {
  if (bits == 0) return planes_from_levels(symmetric_levels(0, 0, std::vector<int>(values.size())));
  BitPlanes planes = planes_from_float(values, bits);
  adjust_precision(planes, 0.0);
  return planes;
}

}  // namespace

std::shared_ptr<const StoredPlanes> StoredPlanes::with_positive_scales(std::vector<BitPlanes> planes) {
  std::set<std::size_t> turned = turn_below_zero(planes);
  auto result = std::make_shared<StoredPlanes>(std::move(planes));
  result->turned_ = std::move(turned);
  return result;
}

Weights StoredPlanes::with_turned(const std::set<std::size_t>& slots) const {
  std::vector<BitPlanes> planes = planes_;
  for (const std::size_t slot : slots) turn(planes.at(slot));
  return std::make_shared<StoredPlanes>(std::move(planes));
}

std::optional<Levels> StoredPlanes::levels(std::size_t slot) const {
  const BitPlanes& planes = planes_[slot];
  return symmetric_levels(is_empty(planes) ? 0 : planes.bits, planes.scale, integer_levels(planes));
}

std::vector<HostTensor> StoredPlanes::tensors(const ArenaLayout& layout, std::string_view suffix) const {
  const auto named = [&](const std::string& name) { return name + std::string(suffix); };
  std::vector<HostTensor> tensors;
  for (std::size_t i = 0; i < planes_.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    const BitPlanes& planes = planes_[i];
    tensors.push_back(planes_to_file(planes.p, spec, planes.bits, named(plane_name(spec.name, "p"))));
    tensors.push_back(planes_to_file(planes.n, spec, planes.bits, named(plane_name(spec.name, "n"))));
    tensors.push_back(HostTensor::from<float>(named(scale_name(spec.name)), {1}, std::span(&planes.scale, 1)));
  }
  return tensors;
}

TensorCounts StoredPlanes::count(std::size_t slot) const {
  const BitPlanes& planes = planes_[slot];
  const std::vector<int> levels = integer_levels(planes);
  const std::vector<float> weights = grid_weights(levels, planes.bits, planes.scale);
  TensorCounts counts{.bits = planes.bits,
                      .scale = planes.scale,
                      .zeros = std::count(weights.begin(), weights.end(), 0.0F),
                      .ones = {},
                      .is_odd = are_odd(levels)};
  for (auto p = planes.p.begin(), n = planes.n.begin(); p != planes.p.end(); p += planes.numel, n += planes.numel)
    counts.ones.push_back(
        std::inner_product(p, p + planes.numel, n, std::int64_t{0}, std::plus(), std::not_equal_to()));
  return counts;
}

std::vector<std::span<const float>> StoredPlanes::numbers() const {
  std::vector<std::span<const float>> numbers;
  for (const auto& tensor : planes_) {
    numbers.emplace_back(tensor.p);
    numbers.emplace_back(tensor.n);
    numbers.emplace_back(&tensor.scale, 1);
  }
  return numbers;
}

std::vector<std::string> StoredPlanes::tensor_names(const std::string& parameter) {
  return {plane_name(parameter, "p"), plane_name(parameter, "n"), scale_name(parameter)};
}

Weights StoredPlanes::read(const TensorFile& file, const ArenaLayout& layout, int max_bits) {
  std::vector<BitPlanes> result;
  for (const ParameterSlot& slot : layout.slots) {
    const std::string name = plane_name(slot.spec.name, "p");
    const int width = count_planes(file, name, slot.spec.most_bits(max_bits));
    result.push_back({.bits = width,
                      .scale = read_number(file, scale_name(slot.spec.name)),
                      .numel = slot.spec.shape.numel(),
                      .p = read_planes(file, name, slot.spec, width),
                      .n = read_planes(file, plane_name(slot.spec.name, "n"), slot.spec, width)});
  }
  return with_positive_scales(std::move(result));
}

Weights StoredPlanes::convert(const Weights& from, const std::vector<int>& bits) {
  if (from->form() == kForm) return from;
  if (const std::string why = grid_conflict(*from); !why.empty())
    fail(ErrorKind::usage, "the model {}; bit planes cannot hold them", why);
  std::vector<BitPlanes> planes;
  for (std::size_t slot = 0; slot < from->size(); ++slot) {
    const std::optional<Levels> levels = from->levels(slot);
    planes.push_back(levels ? planes_from_levels(*levels) : planes_of_values(from->values(slot), bits.at(slot)));
  }
  return std::make_shared<StoredPlanes>(std::move(planes));
}

Weights StoredPlanes::convert(const Weights& from, const ArenaLayout& layout, const std::vector<int>& bits) {
  const Weights converted = convert(from, bits);
  const auto result = std::make_shared<StoredPlanes>(dynamic_cast<const StoredPlanes&>(*converted));
  std::vector<BitPlanes>& planes = result->planes_;
  for (std::size_t slot = 0; slot < planes.size(); ++slot) {
    const WidthRule& widths = layout.slots[slot].spec.widths;
    if (widths.fixed && planes[slot].bits < widths.start && is_empty(planes[slot]))
      planes[slot] = empty_planes(planes[slot].numel, widths.start, planes[slot].scale);
  }
  return result;
}

Weights StoredPlanes::narrow(const Weights& from, int most_bits) {
  std::vector<BitPlanes> planes = dynamic_cast<const StoredPlanes&>(*convert(from, std::vector<int>{})).all();
  for (BitPlanes& tensor : planes)
    if (tensor.bits > most_bits) tensor = planes_of_values(effective_weights(tensor), most_bits);
  return std::make_shared<StoredPlanes>(std::move(planes));
}

}  // namespace bsq
