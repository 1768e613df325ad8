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
  require(levels.unit.size() == 1, "LSQ's levels have one unit");
  LsqTensorAtRest tensor{.bits = levels.bits,
                         .step = static_cast<float>(levels.unit.front()),
                         .w = std::vector<float>(levels.k.size()),
                         .is_lopsided = is_lopsided(levels)};
  if (!(tensor.step >= kSmallestStep)) tensor.step = step_of_zeros(levels.bits);
  std::transform(levels.k.begin(), levels.k.end(), tensor.w.begin(), [&](int k) {
    const float w = tensor.step * static_cast<float>(k);
    // Rounding may put the largest level out of its grid, where no gradient would reach it.
    const float most = static_cast<float>(k < 0 ? -levels.low : levels.high);
    return std::abs(w / tensor.step) > most ? std::nextafter(w, 0.0F) : w;
  });
  return tensor;
}

LsqTensorAtRest tensor_from_float(std::vector<float> values, int bits) {
  const float step = lsq_start_step(values, bits);
  return {.bits = bits, .step = step, .w = std::move(values)};
}

bool is_zero(std::span<const float> values) {
  return std::ranges::all_of(values, [](float value) { return value == 0; });
}

/// Gives float weights a step per channel. A level is worth the mean of them, so that outputs stay of their size;
/// channels of zeros have the mean, too.
void give_start_steps(LsqTensorAtRest& tensor, std::int64_t channels) {
  const auto count = static_cast<std::size_t>(channels), length = tensor.w.size() / count;
  double sum = 0;
  std::vector<std::size_t> empty;
  for (std::size_t channel = 0; channel < count; ++channel) {
    const auto weights = std::span(tensor.w).subspan(channel * length, length);
    tensor.channel_steps.push_back(lsq_start_step(weights, tensor.bits));
    if (is_zero(weights))
      empty.push_back(channel);
    else
      sum += double{tensor.channel_steps.back()};
  }
  if (empty.size() < count) tensor.step = static_cast<float>(sum / static_cast<double>(count - empty.size()));
  for (const std::size_t channel : empty) tensor.channel_steps[channel] = tensor.step;
}

/// The step of a file, checked.
float checked_step(float step, const TensorFile& file, const std::string& name) {
  if (step >= kSmallestStep && std::isfinite(step)) return step;
  fail(ErrorKind::checkpoint, "{}: {} is {}; a step is a number of at least {}", file.path.string(), name, step,
       kSmallestStep);
}

/// The steps of the channels, where a file has them.
std::vector<float> read_channel_steps(const TensorFile& file, const ParameterSpec& spec) {
  const std::string name = StoredLsq::channel_steps_name(spec.name);
  const HostTensor* tensor = file.find(name);
  if (tensor == nullptr) return {};
  if (spec.shape.rank != 4)
    fail(ErrorKind::checkpoint, "{}: {}: only filters of convolutions have a step per channel; the file is damaged",
         file.path.string(), name);
  const ParameterSpec expected{.name = name, .shape = {spec.shape[0]}};
  std::vector<float> steps = read_tensor(file, name, expected);
  for (const float step : steps) checked_step(step, file, name);
  return steps;
}

/// Whether a file gives the tensor a level more below.
bool read_lopsided(const TensorFile& file, const std::string& parameter, int bits) {
  const std::string name = StoredLsq::low_name(parameter);
  if (file.find(name) == nullptr) return false;
  const float low = read_number(file, name);
  const int expected = LsqTensorAtRest{.bits = bits, .w = {}, .is_lopsided = true}.low();
  if (low == static_cast<float>(expected)) return true;
  fail(ErrorKind::checkpoint, "{}: {} is {}; the least level of {} bits is {}, or the file has no such tensor",
       file.path.string(), name, low, bits, expected);
}

}  // namespace

std::span<const float> LsqTensorAtRest::steps() const {
  return channel_steps.empty() ? std::span(&step, 1) : std::span(channel_steps);
}

std::vector<int> lsq_levels(const LsqTensorAtRest& tensor) {
  std::vector<int> levels(tensor.w.size());
  if (tensor.bits == 0) return levels;
  const auto low = static_cast<float>(tensor.low()), high = static_cast<float>(tensor.high());
  const std::span<const float> steps = tensor.steps();
  const std::size_t length = levels.size() / steps.size();
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const float quotient = tensor.w[i] / steps[i / length];
    if (std::isnan(quotient)) fail(ErrorKind::diverged, "a weight is no number; lower the learning rate");
    levels[i] = static_cast<int>(std::nearbyint(std::clamp(quotient, low, high)));
  }
  return levels;
}

float lsq_start_step(std::span<const float> w, int bits) {
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
  return Levels{.bits = tensor.bits,
                .low = tensor.low(),
                .high = tensor.high(),
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
    if (const std::vector<float>& steps = tensors_[i].channel_steps; !steps.empty())
      tensors.push_back(
          HostTensor::from<float>(channel_steps_name(spec.name) + std::string(suffix), {std::ssize(steps)}, steps));
    if (tensors_[i].is_lopsided && suffix.empty()) {  // a constant, which has no momentum
      const auto low = static_cast<float>(tensors_[i].low());
      tensors.push_back(HostTensor::from<float>(low_name(spec.name), {1}, std::span(&low, 1)));
    }
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
    if (!tensor.channel_steps.empty()) numbers.emplace_back(tensor.channel_steps);
    if (tensor.sensitivity) numbers.emplace_back(&*tensor.sensitivity, 1);
  }
  return numbers;
}

std::string StoredLsq::sensitivity_name(const std::string& parameter) {
  return plane_name(parameter, "lsq_") + "_sensitivity";
}

std::string StoredLsq::channel_steps_name(const std::string& parameter) {
  return plane_name(parameter, "lsq_") + "_channel_steps";
}

std::string StoredLsq::low_name(const std::string& parameter) {
  return plane_name(parameter, "lsq_") + "_low";
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
    result.push_back({.bits = bits[i],
                      .step = checked_step(read_number(file, step_name(spec.name)), file, step_name(spec.name)),
                      .w = read_tensor(file, plane_name(spec.name, "lsq_"), spec),
                      .channel_steps = read_channel_steps(file, spec),
                      .is_lopsided = read_lopsided(file, spec.name, bits[i])});
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

Weights StoredLsq::convert(const Weights& from, const ArenaLayout& layout, const std::vector<int>& bits, LsqSteps steps,
                           LsqRange range) {
  const Weights converted = convert(from, bits);
  const auto result = std::make_shared<StoredLsq>(dynamic_cast<const StoredLsq&>(*converted));
  std::vector<LsqTensorAtRest>& tensors = result->tensors_;
  for (std::size_t slot = 0; slot < tensors.size(); ++slot) {
    LsqTensorAtRest& tensor = tensors[slot];
    const ParameterSpec& spec = layout.slots[slot].spec;
    if (spec.widths.fixed && tensor.bits == 0) {
      tensor.bits = spec.widths.start;
      tensor.step = step_of_zeros(tensor.bits);
      tensor.channel_steps.clear();
    }
    const bool has_channels = !tensor.channel_steps.empty();
    if (steps == LsqSteps::per_tensor && has_channels) tensor = tensor_from_levels(*from->levels(slot));
    if (range == LsqRange::asymmetric) tensor.is_lopsided = true;
    if (steps == LsqSteps::per_tensor || has_channels || !spec.is_normed) continue;
    if (from->levels(slot))
      tensor.channel_steps.assign(static_cast<std::size_t>(spec.shape[0]), tensor.step);
    else
      give_start_steps(tensor, spec.shape[0]);
  }
  return result;
}

}  // namespace bsq
