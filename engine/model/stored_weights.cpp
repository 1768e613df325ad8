// Conversions between the forms, and reading them from files.
#include "engine/model/stored_weights.h"

#include "engine/methods/bsq/plane_weights.h"
#include "engine/methods/fixed_point/fixed_point_weights.h"
#include "kernels/base/error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <numeric>

namespace bsq {
namespace {

/// `layer1.0.conv1.weight` -> `layer1.0.conv1`.
std::string module_of(const std::string& parameter) {
  return parameter.substr(0, parameter.rfind('.'));
}
bool is_bias(const std::string& parameter) {
  return parameter.ends_with(".bias");
}

constexpr int kFloatBits = 32;

std::vector<std::int64_t> ones_of(const BitPlanes& planes) {
  std::vector<std::int64_t> ones;
  for (auto p = planes.p.begin(), n = planes.n.begin(); p != planes.p.end(); p += planes.numel, n += planes.numel)
    ones.push_back(std::inner_product(p, p + planes.numel, n, std::int64_t{0}, std::plus(), std::not_equal_to()));
  return ones;
}

int bits_at(const HostWeights& weights, std::size_t slot) {
  if (const auto* planes = std::get_if<std::vector<BitPlanes>>(&weights)) return (*planes)[slot].bits;
  if (const auto* fixed = std::get_if<std::vector<FixedPoint>>(&weights)) return (*fixed)[slot].bits;
  return kFloatBits;
}

}  // namespace

std::string_view form_of(const HostWeights& weights) {
  constexpr std::string_view forms[] = {"float", "planes", "fixed"};
  return forms[weights.index()];
}

HostWeights initial_weights(const ArenaLayout& layout, std::uint64_t seed) {
  DenseTensors tensors;
  for (const ParameterSlot& slot : layout.slots) tensors.push_back(initial_values(slot.spec, seed));
  return tensors;
}

HostWeights read_weights(const TensorFile& file, const ArenaLayout& layout, int max_bits) {
  const std::string& first = layout.slots.front().spec.name;
  if (file.find(plane_name(first, "p")) != nullptr) return PlaneWeights::load(file, layout, max_bits);
  if (file.find(plane_name(first, "u")) != nullptr) {
    const auto scheme = file.metadata.find("scheme");
    if (scheme == file.metadata.end())
      fail(ErrorKind::checkpoint, "{}: fixed-point weights without a scheme in the metadata", file.path.string());
    return FixedPointWeights::load(file, layout, scheme_from_json(scheme->second, layout, file.path.string()));
  }
  DenseTensors tensors;
  for (const ParameterSlot& slot : layout.slots) {
    const HostTensor& tensor = file.at(slot.spec.name);
    check_shape(file, tensor, slot.spec);
    const auto values = tensor.values<float>();
    tensors.push_back(from_file_layout({values.begin(), values.end()}, slot.spec.shape));
  }
  return tensors;
}

DenseTensors to_dense(const HostWeights& weights) {
  if (const auto* dense = std::get_if<DenseTensors>(&weights)) return *dense;
  DenseTensors result;
  if (const auto* planes = std::get_if<std::vector<BitPlanes>>(&weights))
    for (const BitPlanes& tensor : *planes) result.push_back(effective_weights(tensor));
  if (const auto* fixed = std::get_if<std::vector<FixedPoint>>(&weights))
    for (const FixedPoint& tensor : *fixed) result.push_back(effective_weights(tensor));
  return result;
}

std::vector<BitPlanes> to_planes(const HostWeights& weights, const std::vector<int>& bits) {
  if (const auto* planes = std::get_if<std::vector<BitPlanes>>(&weights)) return *planes;
  std::vector<BitPlanes> result;
  if (const auto* fixed = std::get_if<std::vector<FixedPoint>>(&weights)) {
    for (const FixedPoint& tensor : *fixed) result.push_back(planes_from_fixed(tensor));
    return result;
  }
  const auto& dense = std::get<DenseTensors>(weights);
  for (std::size_t i = 0; i < dense.size(); ++i) {
    result.push_back(planes_from_float(dense[i], bits[i]));
    adjust_precision(result.back(), 0.0);
  }
  return result;
}

std::vector<FixedPoint> to_fixed(const HostWeights& weights) {
  if (const auto* fixed = std::get_if<std::vector<FixedPoint>>(&weights)) return *fixed;
  const auto* planes = std::get_if<std::vector<BitPlanes>>(&weights);
  require(planes != nullptr, "float weights have no scheme to finetune under");
  std::vector<FixedPoint> result;
  for (const BitPlanes& tensor : *planes) result.push_back(fixed_from_planes(tensor));
  return result;
}

std::vector<TensorCounts> count_weights(const HostWeights& weights) {
  std::vector<TensorCounts> result;
  for (const std::vector<float>& values : to_dense(weights))
    result.push_back(
        {.bits = bits_at(weights, result.size()), .zeros = std::count(values.begin(), values.end(), 0.0F), .ones = {}});
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (const auto* planes = std::get_if<std::vector<BitPlanes>>(&weights)) {
      result[i].scale = (*planes)[i].scale;
      result[i].ones = ones_of((*planes)[i]);
    }
    if (const auto* fixed = std::get_if<std::vector<FixedPoint>>(&weights)) {
      result[i].scale = (*fixed)[i].scale;
      if (result[i].bits > 0) result[i].ones = ones_of(planes_from_fixed((*fixed)[i]));
    }
  }
  return result;
}

std::vector<HostTensor> weights_to_tensors(const HostWeights& weights, const ArenaLayout& layout,
                                           std::string_view suffix) {
  if (const auto* planes = std::get_if<std::vector<BitPlanes>>(&weights))
    return planes_to_tensors(*planes, layout, suffix);
  std::vector<HostTensor> tensors;
  const auto* fixed = std::get_if<std::vector<FixedPoint>>(&weights);
  const auto* dense = std::get_if<DenseTensors>(&weights);
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    const std::string name = fixed == nullptr ? spec.name : plane_name(spec.name, "u");
    const std::vector<float>& values = fixed == nullptr ? (*dense)[i] : (*fixed)[i].u;
    tensors.push_back(HostTensor::from<float>(name + std::string(suffix), file_shape(spec.shape),
                                              to_file_layout(values, spec.shape)));
    if (fixed != nullptr)
      tensors.push_back(
          HostTensor::from<float>(scale_name(spec.name) + std::string(suffix), {1}, std::span(&(*fixed)[i].scale, 1)));
  }
  return tensors;
}

std::string scheme_to_json(const HostWeights& weights, const ArenaLayout& layout) {
  nlohmann::ordered_json scheme = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    const std::string& name = layout.slots[i].spec.name;
    auto& entry = scheme[module_of(name)];
    if (entry.is_null()) entry = {0, 0};
    entry[is_bias(name) ? 1 : 0] = bits_at(weights, i);
  }
  return scheme.dump();
}

std::vector<int> scheme_from_json(const std::string& text, const ArenaLayout& layout, const std::string& where) {
  const auto scheme = nlohmann::json::parse(text, nullptr, false);
  std::vector<int> bits;
  for (const ParameterSlot& slot : layout.slots) {
    const std::string module = module_of(slot.spec.name);
    const bool known = scheme.is_object() && scheme.contains(module) && scheme[module].is_array() &&
                       scheme[module].size() == 2 && scheme[module][is_bias(slot.spec.name)].is_number_integer();
    const auto width = known ? scheme[module][is_bias(slot.spec.name)].get<std::int64_t>() : -1;
    if (width < 0 || width > 8)
      fail(ErrorKind::checkpoint, "{}: the scheme gives no width in 0..8 for {}; is it of another network?", where,
           slot.spec.name);
    bits.push_back(static_cast<int>(width));
  }
  return bits;
}

}  // namespace bsq
