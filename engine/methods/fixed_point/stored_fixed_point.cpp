#include "engine/methods/fixed_point/stored_fixed_point.h"

#include "engine/methods/scale_signs.h"
#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

namespace bsq {
namespace {

std::vector<int> levels_of(const FixedPoint& tensor) {
  if (tensor.bits == 0) return std::vector<int>(tensor.u.size());
  return clamped_levels(tensor.u, tensor.bits);
}

}  // namespace

void turn(FixedPoint& tensor) {
  for (float& u : tensor.u) u = 0.0F - u;  // and no -0
  tensor.scale = 0.0F - tensor.scale;
}

FixedPoint fixed_from_levels(const Levels& levels) {
  require(levels.low == -levels.high && levels.unit.size() == 1, "fixed-point weights are symmetric, with one unit");
  return {levels.bits, scale_of(levels), grid_weights(levels.k, levels.bits, 1.0F)};
}

std::shared_ptr<const StoredFixedPoint> StoredFixedPoint::with_positive_scales(std::vector<FixedPoint> tensors) {
  std::set<std::size_t> turned = turn_below_zero(tensors);
  auto result = std::make_shared<StoredFixedPoint>(std::move(tensors));
  result->turned_ = std::move(turned);
  return result;
}

Weights StoredFixedPoint::with_turned(const std::set<std::size_t>& slots) const {
  std::vector<FixedPoint> tensors = tensors_;
  for (const std::size_t slot : slots) turn(tensors.at(slot));
  return std::make_shared<StoredFixedPoint>(std::move(tensors));
}

std::vector<float> StoredFixedPoint::values(std::size_t slot) const {
  const FixedPoint& tensor = tensors_[slot];
  return grid_weights(levels_of(tensor), tensor.bits, tensor.scale);
}

std::optional<Levels> StoredFixedPoint::levels(std::size_t slot) const {
  const FixedPoint& tensor = tensors_[slot];
  return symmetric_levels(tensor.bits, tensor.scale, levels_of(tensor));
}

std::vector<HostTensor> StoredFixedPoint::tensors(const ArenaLayout& layout, std::string_view suffix) const {
  std::vector<HostTensor> tensors;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    tensors.push_back(HostTensor::from<float>(plane_name(spec.name, "u") + std::string(suffix), file_shape(spec.shape),
                                              to_file_layout(tensors_[i].u, spec.shape)));
    tensors.push_back(
        HostTensor::from<float>(scale_name(spec.name) + std::string(suffix), {1}, std::span(&tensors_[i].scale, 1)));
  }
  return tensors;
}

std::vector<std::span<const float>> StoredFixedPoint::numbers() const {
  std::vector<std::span<const float>> numbers;
  for (const auto& tensor : tensors_) {
    numbers.emplace_back(tensor.u);
    numbers.emplace_back(&tensor.scale, 1);
  }
  return numbers;
}

std::vector<std::string> StoredFixedPoint::tensor_names(const std::string& parameter) {
  return {plane_name(parameter, "u"), scale_name(parameter)};
}

Weights StoredFixedPoint::read(const TensorFile& file, const ArenaLayout& layout, int /*max_bits*/) {
  const auto scheme = file.metadata.find("scheme");
  if (scheme == file.metadata.end())
    fail(ErrorKind::checkpoint, "{}: fixed-point weights without a scheme in the metadata", file.path.string());
  const std::vector<int> bits = scheme_from_json(scheme->second, layout, file.path.string());
  std::vector<FixedPoint> result;
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    std::vector<float> u = read_tensor(file, plane_name(spec.name, "u"), spec);
    result.push_back({.bits = bits[i], .scale = read_number(file, scale_name(spec.name)), .u = std::move(u)});
  }
  return with_positive_scales(std::move(result));
}

Weights StoredFixedPoint::convert(const Weights& from, const std::vector<int>& /*bits*/) {
  if (from->form() == kForm) return from;
  std::vector<FixedPoint> tensors;
  for (std::size_t slot = 0; slot < from->size(); ++slot) {
    const std::optional<Levels> levels = from->levels(slot);
    require(levels.has_value(), "weights that are on no grid have no widths to finetune under");
    tensors.push_back(fixed_from_levels(*levels));
  }
  return std::make_shared<StoredFixedPoint>(std::move(tensors));
}

Weights StoredFixedPoint::convert(const Weights& from, const ArenaLayout& layout, const std::vector<int>& bits) {
  const Weights converted = convert(from, bits);
  const auto result = std::make_shared<StoredFixedPoint>(dynamic_cast<const StoredFixedPoint&>(*converted));
  std::vector<FixedPoint>& tensors = result->tensors_;
  for (std::size_t slot = 0; slot < tensors.size(); ++slot) {
    const WidthRule& widths = layout.slots[slot].spec.widths;
    if (widths.fixed && tensors[slot].bits == 0) tensors[slot].bits = widths.start;
  }
  return result;
}

}  // namespace bsq
