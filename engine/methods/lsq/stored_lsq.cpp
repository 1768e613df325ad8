#include "engine/methods/lsq/stored_lsq.h"

#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"
#include "kernels/ops/lsq.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace bsq {
namespace {

std::string step_name(const std::string& parameter) {
  return plane_name(parameter, "lsq_") + "_step";
}

int high_of(int bits) {
  return (1 << bits) - 1;
}

/// The step of a tensor that has none yet: of zeros, whose grid then spans -1 .. 1.
float step_of_zeros(int bits) {
  return 1.0F / static_cast<float>(std::max(high_of(bits), 1));
}

LsqTensorAtRest tensor_from_levels(const Levels& levels) {
  require(levels.low == -levels.high && levels.unit.size() == 1, "LSQ's grid is symmetric, with one unit");
  LsqTensorAtRest tensor{
      .bits = levels.bits, .step = static_cast<float>(levels.unit.front()), .w = std::vector<float>(levels.k.size())};
  if (!(tensor.step >= kSmallestStep)) tensor.step = step_of_zeros(levels.bits);
  std::transform(levels.k.begin(), levels.k.end(), tensor.w.begin(), [&](int k) {
    const float w = tensor.step * static_cast<float>(k);
    // Rounding may put the largest level out of its grid, where no gradient would reach it.
    return std::abs(w / tensor.step) > static_cast<float>(levels.high) ? std::nextafter(w, 0.0F) : w;
  });
  return tensor;
}

LsqTensorAtRest tensor_from_float(std::vector<float> values, int bits) {
  const float step = lsq_start_step(values, bits);
  return {.bits = bits, .step = step, .w = std::move(values)};
}

}  // namespace

std::vector<int> lsq_levels(const LsqTensorAtRest& tensor) {
  std::vector<int> levels(tensor.w.size());
  if (tensor.bits == 0) return levels;
  const auto high = static_cast<float>(high_of(tensor.bits));
  std::transform(tensor.w.begin(), tensor.w.end(), levels.begin(), [&](float w) {
    const float quotient = w / tensor.step;
    if (std::isnan(quotient)) fail(ErrorKind::diverged, "a weight is no number; lower the learning rate");
    return static_cast<int>(std::nearbyint(std::clamp(quotient, -high, high)));
  });
  return levels;
}

float lsq_start_step(const std::vector<float>& w, int bits) {
  double sum = 0;
  for (const float weight : w) sum += std::abs(static_cast<double>(weight));
  const double mean = sum / static_cast<double>(w.size());
  if (!(mean > 0)) return step_of_zeros(bits);
  return std::max(static_cast<float>(2 * mean / std::sqrt(static_cast<double>(high_of(bits)))), kSmallestStep);
}

std::vector<float> StoredLsq::values(std::size_t slot) const {
  const LsqTensorAtRest& tensor = tensors_[slot];
  std::vector<float> values;
  values.reserve(tensor.w.size());
  for (const int level : lsq_levels(tensor)) values.push_back(tensor.step * static_cast<float>(level));
  return values;
}

std::optional<Levels> StoredLsq::levels(std::size_t slot) const {
  const LsqTensorAtRest& tensor = tensors_[slot];
  const int high = high_of(tensor.bits);
  return Levels{.bits = tensor.bits,
                .low = -high,
                .high = high,
                .unit = {static_cast<double>(tensor.step)},
                .k = lsq_levels(tensor)};
}

std::vector<HostTensor> StoredLsq::tensors(const ArenaLayout& layout, std::string_view suffix) const {
  std::vector<HostTensor> tensors;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    tensors.push_back(HostTensor::from<float>(plane_name(spec.name, "lsq_") + std::string(suffix),
                                              file_shape(spec.shape), to_file_layout(tensors_[i].w, spec.shape)));
    tensors.push_back(
        HostTensor::from<float>(step_name(spec.name) + std::string(suffix), {1}, std::span(&tensors_[i].step, 1)));
    if (tensors_[i].sensitivity)
      tensors.push_back(HostTensor::from<float>(sensitivity_name(spec.name) + std::string(suffix), {1},
                                                std::span(&*tensors_[i].sensitivity, 1)));
  }
  return tensors;
}

std::vector<std::span<const float>> StoredLsq::numbers() const {
  std::vector<std::span<const float>> numbers;
  for (const auto& tensor : tensors_) {
    numbers.emplace_back(tensor.w);
    numbers.emplace_back(&tensor.step, 1);
    if (tensor.sensitivity) numbers.emplace_back(&*tensor.sensitivity, 1);
  }
  return numbers;
}

std::string StoredLsq::sensitivity_name(const std::string& parameter) {
  return plane_name(parameter, "lsq_") + "_sensitivity";
}

std::vector<std::string> StoredLsq::tensor_names(const std::string& parameter) {
  return {plane_name(parameter, "lsq_"), step_name(parameter)};
}

Weights StoredLsq::read(const TensorFile& file, const ArenaLayout& layout, int /*max_bits*/) {
  const auto scheme = file.metadata.find("scheme");
  if (scheme == file.metadata.end())
    fail(ErrorKind::checkpoint, "{}: weights of LSQ without a scheme in the metadata", file.path.string());
  const std::vector<int> bits = scheme_from_json(scheme->second, layout, file.path.string());
  std::vector<LsqTensorAtRest> result;
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    const float step = read_number(file, step_name(spec.name));
    if (!(step >= kSmallestStep) || !std::isfinite(step))
      fail(ErrorKind::checkpoint, "{}: {} is {}; a step is a number of at least {}", file.path.string(),
           step_name(spec.name), step, kSmallestStep);
    result.push_back({.bits = bits[i], .step = step, .w = read_tensor(file, plane_name(spec.name, "lsq_"), spec)});
  }
  return std::make_shared<StoredLsq>(std::move(result));
}

Weights StoredLsq::convert(const Weights& from, const std::vector<int>& bits) {
  if (from->form() == kForm) return from;
  std::vector<LsqTensorAtRest> tensors;
  for (std::size_t slot = 0; slot < from->size(); ++slot) {
    const std::optional<Levels> levels = from->levels(slot);
    tensors.push_back(levels ? tensor_from_levels(*levels) : tensor_from_float(from->values(slot), bits.at(slot)));
  }
  return std::make_shared<StoredLsq>(std::move(tensors));
}

Weights StoredLsq::convert(const Weights& from, const ArenaLayout& layout, const std::vector<int>& bits) {
  const Weights converted = convert(from, bits);
  const auto result = std::make_shared<StoredLsq>(dynamic_cast<const StoredLsq&>(*converted));
  std::vector<LsqTensorAtRest>& tensors = result->tensors_;
  for (std::size_t slot = 0; slot < tensors.size(); ++slot) {
    const WidthRule& widths = layout.slots[slot].spec.widths;
    if (!widths.fixed || tensors[slot].bits > 0) continue;
    tensors[slot].bits = widths.start;
    tensors[slot].step = step_of_zeros(widths.start);
  }
  return result;
}

}  // namespace bsq
