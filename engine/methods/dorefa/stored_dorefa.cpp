#include "engine/methods/dorefa/stored_dorefa.h"

#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"
#include "kernels/dorefa_tanh.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace bsq {
namespace {

std::string weight_name(const std::string& parameter) {
  return plane_name(parameter, "dorefa_");
}

float largest_magnitude(const std::vector<float>& values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

}  // namespace

std::vector<int> dorefa_levels(const DorefaTensorAtRest& tensor) {
  std::vector<float> heights(tensor.v.size());
  std::transform(tensor.v.begin(), tensor.v.end(), heights.begin(), dorefa_tanh);
  const float peak = largest_magnitude(heights);
  const float divisor = peak > 0 ? peak : 1.0F;
  std::vector<int> levels(heights.size());
  std::transform(heights.begin(), heights.end(), levels.begin(), [&](float height) {
    if (std::isnan(height)) fail(ErrorKind::diverged, "a weight is no number; lower the learning rate");
    return dorefa_level(height / divisor, tensor.bits);
  });
  return levels;
}

std::vector<float> StoredDorefa::values(std::size_t slot) const {
  const DorefaTensorAtRest& tensor = tensors_[slot];
  return grid_weights(dorefa_levels(tensor), tensor.bits, tensor.scale);
}

std::optional<Levels> StoredDorefa::levels(std::size_t slot) const {
  const DorefaTensorAtRest& tensor = tensors_[slot];
  return symmetric_levels(tensor.bits, tensor.scale, dorefa_levels(tensor));
}

std::vector<HostTensor> StoredDorefa::tensors(const ArenaLayout& layout, std::string_view suffix) const {
  std::vector<HostTensor> tensors;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    const std::vector<std::string> names = tensor_names(spec.name);
    tensors.push_back(HostTensor::from<float>(names[0] + std::string(suffix), file_shape(spec.shape),
                                              to_file_layout(tensors_[i].v, spec.shape)));
    tensors.push_back(HostTensor::from<float>(names[1] + std::string(suffix), {1}, std::span(&tensors_[i].scale, 1)));
  }
  return tensors;
}

std::vector<std::span<const float>> StoredDorefa::numbers() const {
  std::vector<std::span<const float>> numbers;
  for (const DorefaTensorAtRest& tensor : tensors_) {
    numbers.emplace_back(tensor.v);
    numbers.emplace_back(&tensor.scale, 1);
  }
  return numbers;
}

std::vector<std::string> StoredDorefa::tensor_names(const std::string& parameter) {
  return {weight_name(parameter), weight_name(parameter) + "_scale"};
}

Weights StoredDorefa::read(const TensorFile& file, const ArenaLayout& layout, int /*max_bits*/) {
  const auto scheme = file.metadata.find("scheme");
  if (scheme == file.metadata.end())
    fail(ErrorKind::checkpoint, "{}: weights of DoReFa without a scheme in the metadata", file.path.string());
  const std::vector<int> bits = scheme_from_json(scheme->second, layout, file.path.string());
  std::vector<DorefaTensorAtRest> result;
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    const std::vector<std::string> names = tensor_names(spec.name);
    const float scale = read_number(file, names[1]);
    if (!(scale > 0) || !std::isfinite(scale))
      fail(ErrorKind::checkpoint, "{}: {} is {}; a scale is a number above 0", file.path.string(), names[1], scale);
    if (bits[i] == 0)
      fail(ErrorKind::checkpoint, "{}: {} has 0 bits; the levels of DoReFa are odd, none is 0", file.path.string(),
           spec.name);
    result.push_back({.bits = bits[i], .scale = scale, .v = read_tensor(file, names[0], spec)});
  }
  return std::make_shared<StoredDorefa>(std::move(result));
}

Weights StoredDorefa::convert(const Weights& from, const std::vector<int>& bits) {
  if (from->form() == kForm) return from;
  std::vector<DorefaTensorAtRest> tensors;
  for (std::size_t slot = 0; slot < from->size(); ++slot) {
    std::vector<float> v = from->values(slot);
    const float largest = largest_magnitude(v);
    const int width = from->bits(slot) == kFloatBits ? bits.at(slot) : std::max(from->bits(slot), 1);
    tensors.push_back({.bits = width, .scale = largest > 0 ? largest : 1.0F, .v = std::move(v)});
  }
  return std::make_shared<StoredDorefa>(std::move(tensors));
}

}  // namespace bsq
