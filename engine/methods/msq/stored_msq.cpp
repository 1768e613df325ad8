#include "engine/methods/msq/stored_msq.h"

#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace bsq {
namespace {

/// k of n bits.
int halved_level(float u, int bits) {
  if (std::isnan(u)) fail(ErrorKind::diverged, "a weight is no number; lower the learning rate");
  const float most = static_cast<float>((1 << bits) - 1);
  return static_cast<int>(std::clamp(std::nearbyint(std::ldexp(u, bits)), -most, most));
}

MsqTensorAtRest msq_from_levels(const Levels& levels) {
  require(levels.low == -levels.high && levels.unit.size() == 1, "MSQ's grid is symmetric, with one unit");
  MsqTensorAtRest tensor{.bits = levels.bits, .scale = 1, .u = std::vector<float>(levels.k.size())};
  if (const auto unit = static_cast<float>(levels.unit.front()); levels.bits > 0 && unit > 0)
    tensor.scale = std::ldexp(unit, levels.bits);
  std::transform(levels.k.begin(), levels.k.end(), tensor.u.begin(),
                 [&](int k) { return std::ldexp(static_cast<float>(k), -levels.bits); });
  return tensor;
}

MsqTensorAtRest msq_from_float(std::vector<float> u, int bits) {
  float largest = 0;
  for (const float value : u) largest = std::max(largest, std::abs(value));
  if (largest == 0) largest = 1;
  for (float& value : u) value /= largest;
  return {.bits = bits, .scale = largest, .u = std::move(u)};
}

}  // namespace

std::vector<int> msq_levels(const MsqTensorAtRest& tensor) {
  std::vector<int> levels(tensor.u.size());
  std::transform(tensor.u.begin(), tensor.u.end(), levels.begin(),
                 [&](float u) { return halved_level(u, tensor.bits); });
  return levels;
}

double share_of_last_bits(const MsqTensorAtRest& tensor, int bits) {
  const auto count = std::count_if(tensor.u.begin(), tensor.u.end(),
                                   [&](float u) { return halved_level(u, bits) != 2 * halved_level(u, bits - 1); });
  return static_cast<double>(count) / static_cast<double>(tensor.u.size());
}

std::vector<float> StoredMsq::values(std::size_t slot) const {
  const MsqTensorAtRest& tensor = tensors_[slot];
  std::vector<float> values;
  values.reserve(tensor.u.size());
  for (const int level : msq_levels(tensor))
    values.push_back(tensor.scale * std::ldexp(static_cast<float>(level), -tensor.bits));
  return values;
}

std::optional<Levels> StoredMsq::levels(std::size_t slot) const {
  const MsqTensorAtRest& tensor = tensors_[slot];
  const int high = (1 << tensor.bits) - 1;
  return Levels{.bits = tensor.bits,
                .low = -high,
                .high = high,
                .unit = {std::ldexp(static_cast<double>(tensor.scale), -tensor.bits)},
                .k = msq_levels(tensor)};
}

std::vector<HostTensor> StoredMsq::tensors(const ArenaLayout& layout, std::string_view suffix) const {
  std::vector<HostTensor> tensors;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    const std::vector<std::string> names = tensor_names(spec.name);
    tensors.push_back(HostTensor::from<float>(names[0] + std::string(suffix), file_shape(spec.shape),
                                              to_file_layout(tensors_[i].u, spec.shape)));
    tensors.push_back(HostTensor::from<float>(names[1] + std::string(suffix), {1}, std::span(&tensors_[i].scale, 1)));
  }
  return tensors;
}

std::vector<std::span<const float>> StoredMsq::numbers() const {
  std::vector<std::span<const float>> numbers;
  for (const MsqTensorAtRest& tensor : tensors_) {
    numbers.emplace_back(tensor.u);
    numbers.emplace_back(&tensor.scale, 1);
  }
  return numbers;
}

std::vector<std::string> StoredMsq::tensor_names(const std::string& parameter) {
  const std::string weight = plane_name(parameter, "msq_");
  return {weight, weight + "_scale"};
}

Weights StoredMsq::read(const TensorFile& file, const ArenaLayout& layout, int /*max_bits*/) {
  const auto scheme = file.metadata.find("scheme");
  if (scheme == file.metadata.end())
    fail(ErrorKind::checkpoint, "{}: weights of MSQ without a scheme in the metadata", file.path.string());
  const std::vector<int> bits = scheme_from_json(scheme->second, layout, file.path.string());
  std::vector<MsqTensorAtRest> result;
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    const std::vector<std::string> names = tensor_names(spec.name);
    const float scale = read_number(file, names[1]);
    if (!(scale > 0) || !std::isfinite(scale))
      fail(ErrorKind::checkpoint, "{}: {} is {}; a scale is a number above 0", file.path.string(), names[1], scale);
    result.push_back({.bits = bits[i], .scale = scale, .u = read_tensor(file, names[0], spec)});
  }
  return std::make_shared<StoredMsq>(std::move(result));
}

Weights StoredMsq::convert(const Weights& from, const std::vector<int>& bits) {
  if (from->form() == kForm) return from;
  std::vector<MsqTensorAtRest> tensors;
  for (std::size_t slot = 0; slot < from->size(); ++slot) {
    const std::optional<Levels> levels = from->levels(slot);
    tensors.push_back(levels ? msq_from_levels(*levels) : msq_from_float(from->values(slot), bits.at(slot)));
  }
  return std::make_shared<StoredMsq>(std::move(tensors));
}

Weights StoredMsq::convert(const Weights& from, const ArenaLayout& layout, const std::vector<int>& bits) {
  const Weights converted = convert(from, bits);
  std::vector<MsqTensorAtRest> tensors = dynamic_cast<const StoredMsq&>(*converted).all();
  for (std::size_t slot = 0; slot < tensors.size(); ++slot)
    if (const WidthRule& widths = layout.slots[slot].spec.widths; widths.fixed && tensors[slot].bits == 0)
      tensors[slot].bits = widths.start;
  return std::make_shared<StoredMsq>(std::move(tensors));
}

}  // namespace bsq
