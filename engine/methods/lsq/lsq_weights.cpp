#include "engine/methods/lsq/lsq_weights.h"

#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

#include <cmath>

namespace bsq {
namespace {

bool is_lopsided(const LsqTensor& tensor) {
  return tensor.low < -tensor.high;
}

/// The grid of so many bits; g = 1 / sqrt(high numel), numel: the weights that share a step.
LsqTensor tensor_of(const ParameterSlot& slot, int bits, bool has_lopsided_grid, std::int32_t rows,
                    std::int32_t first_step) {
  const int high = (1 << bits) - 1;
  const std::int64_t numel = slot.spec.shape.numel();
  const double product = static_cast<double>(high) * static_cast<double>(numel / rows);
  return {.numel = numel,
          .weight_offset = slot.offset,
          .low = has_lopsided_grid && bits > 0 ? -high - 1 : -high,
          .high = high,
          .grad_scale = high == 0 ? 0.0F : static_cast<float>(1 / std::sqrt(product)),
          .storage = storage_of(slot),
          .decays = slot.decay.weights,
          .rows = rows,
          .first_step = first_step};
}

std::int32_t rows_of(const LsqTensorAtRest& tensor) {
  return static_cast<std::int32_t>(tensor.steps().size());
}

bool has_channels(const LsqTensor& tensor) {
  return tensor.rows > 1;
}

}  // namespace

LsqWeights::LsqWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients, const StoredLsq& stored,
                       bool measures)
    : backend_(memory.backend()), layout_(layout), gradients_(gradients) {
  const std::vector<LsqTensorAtRest>& weights = stored.all();
  require(weights.size() == layout.slots.size(), "{} tensors for {} slots", weights.size(), layout.slots.size());
  const std::size_t count = layout.slots.size();
  const auto numel = static_cast<std::size_t>(layout.numel);
  std::vector<int> bits;
  std::size_t steps = 0;
  for (const LsqTensorAtRest& tensor : weights) {
    const ParameterSlot& slot = layout.slots[bits.size()];
    require(rows_of(tensor) == 1 || storage_of(slot) != WeightStorage::values, "{}: several steps", slot.spec.name);
    tensors_.push_back(
        tensor_of(slot, tensor.bits, tensor.is_lopsided, rows_of(tensor), static_cast<std::int32_t>(steps)));
    steps += tensor.steps().size();
    bits.push_back(tensor.bits);
  }
  table_ = memory.allocate_array<LsqTensor>("LSQ weights, table", count);
  w_ = memory.allocate_array<float>("LSQ weights", numel);
  momentum_ = memory.allocate_array<float>("LSQ weights, momentum", numel);
  steps_ = memory.allocate_array<float>("LSQ weights, steps", steps);
  step_momentum_ = memory.allocate_array<float>("LSQ weights, step momentum", steps);
  values_ = memory.allocate_array<float>("effective weights", numel);
  units_ = memory.allocate_array<float>("effective weights, units", count);
  if (measures) sensitivities_ = memory.allocate_array<float>("LSQ weights, sensitivities", count);
  make_tensors(bits);
  scratch_ = memory.allocate("LSQ weights, scratch", backend_.lsq_scratch_bytes(table()));
  set(stored);
}

void LsqWeights::make_tensors(const std::vector<int>& bits) {
  for (std::size_t i = 0; i < bits.size(); ++i)
    tensors_[i] =
        tensor_of(layout_.slots[i], bits[i], is_lopsided(tensors_[i]), tensors_[i].rows, tensors_[i].first_step);
  bits_ = bits;
  upload_array(backend_, table_.as<LsqTensor>(), tensors_);
}

std::size_t LsqWeights::step_count() const {
  return static_cast<std::size_t>(tensors_.back().first_step + tensors_.back().rows);
}

void LsqWeights::set_units(std::vector<float> units) {
  level_units_ = std::move(units);
  upload_array(backend_, units_.as<float>(), level_units_);  // weights_from_lsq writes those of one step itself
}

void LsqWeights::set_bits(const std::vector<int>& bits) {
  require(bits.size() == bits_.size(), "{} widths for {} tensors", bits.size(), bits_.size());
  const std::vector<int> before_bits = bits_;
  std::vector<float> steps = download_array(backend_, steps_.as<float>(), step_count());
  std::vector<float> units = level_units_;
  for (std::size_t i = 0; i < bits.size(); ++i)
    require(bits[i] <= bits_[i] && (bits[i] > 0 || bits_[i] == 0), "{} bits in the place of {}", bits[i], bits_[i]);
  make_tensors(bits);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const LsqTensor& tensor = tensors_[i];
    const int lost = before_bits[i] - bits[i];
    for (float& step :
         std::span(steps).subspan(static_cast<std::size_t>(tensor.first_step), static_cast<std::size_t>(tensor.rows)))
      step = std::ldexp(step, lost);
    units[i] = std::ldexp(units[i], lost);
  }
  upload_array(backend_, steps_.as<float>(), steps);
  set_units(std::move(units));
  write_effective();
}

std::vector<float> LsqWeights::sensitivities() const {
  require(sensitivities_.data() != nullptr, "nothing is measured here");
  return download_array(backend_, sensitivities_.as<float>(), tensors_.size());
}

void LsqWeights::restart_sensitivities() {
  backend_.fill_zero(sensitivities_.data(), sensitivities_.size_bytes());
}

void LsqWeights::set(const StoredWeights& weights) {
  const std::vector<LsqTensorAtRest>& stored = dynamic_cast<const StoredLsq&>(weights).all();
  std::vector<float> steps, units;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    require(stored[i].bits == bits_[i], "{} bits in the place of {}", stored[i].bits, bits_[i]);
    require(stored[i].low() == tensors_[i].low, "levels from {} on in the place of {}", stored[i].low(),
            tensors_[i].low);
    require(rows_of(stored[i]) == tensors_[i].rows, "{} steps in the place of {}", rows_of(stored[i]),
            tensors_[i].rows);
    steps.insert(steps.end(), stored[i].steps().begin(), stored[i].steps().end());
    units.push_back(stored[i].step);
    upload_array(backend_, w_.as<float>() + layout_.slots[i].offset, stored[i].w);
  }
  upload_array(backend_, steps_.as<float>(), steps);
  set_units(std::move(units));
  write_effective();
}

OnDevice<Weights> LsqWeights::on_device(const Buffer& w, const Buffer& steps, std::vector<float> units) const {
  return {
      .spans = {{w.as<float>(), static_cast<std::size_t>(layout_.numel)}, {steps.as<float>(), step_count()}},
      .to_host = [tensors = tensors_, bits = bits_, units = std::move(units)](HostCopies copies) -> Weights {
        std::vector<LsqTensorAtRest> result;
        for (std::size_t i = 0; i < tensors.size(); ++i) {
          const LsqTensor& tensor = tensors[i];
          const auto begin = copies[0].begin() + tensor.weight_offset;
          const auto step = copies[1].begin() + tensor.first_step;
          result.push_back(
              {.bits = bits[i], .step = *step, .w = {begin, begin + tensor.numel}, .is_lopsided = is_lopsided(tensor)});
          if (!has_channels(tensor)) continue;
          result.back().step = units[i];
          result.back().channel_steps.assign(step, step + tensor.rows);
        }
        return std::make_shared<StoredLsq>(std::move(result));
      }};
}

OnDevice<Weights> LsqWeights::masters() const {
  return on_device(w_, steps_, level_units_);
}

/// With what was measured since the last restart: a run goes on with it.
OnDevice<Weights> LsqWeights::momentum() const {
  OnDevice<Weights> result = on_device(momentum_, step_momentum_, std::vector<float>(tensors_.size()));
  if (sensitivities_.data() == nullptr) return result;
  result.spans.push_back({sensitivities_.as<float>(), tensors_.size()});
  result.to_host = [to_host = std::move(result.to_host)](HostCopies copies) -> Weights {
    const std::vector<float> sensitivities = std::move(copies.back());
    copies.pop_back();
    const Weights momentum = to_host(std::move(copies));
    std::vector<LsqTensorAtRest> tensors = dynamic_cast<const StoredLsq&>(*momentum).all();
    for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i].sensitivity = sensitivities[i];
    return std::make_shared<StoredLsq>(std::move(tensors));
  };
  return result;
}

std::size_t LsqWeights::largest_count() const {
  const std::size_t measured = sensitivities_.data() == nullptr ? 0 : padded(layout_.slots.size());
  return static_cast<std::size_t>(layout_.numel) + padded(step_count()) + measured;
}

std::vector<TensorCounts> LsqWeights::count() const {
  return count_weights(*download(backend_, masters()));
}

TensorView LsqWeights::effective(std::size_t slot) const {
  return stored_weights(layout_.slots[slot], values_, units_.as<float>() + slot);
}

void LsqWeights::write_effective() {
  backend_.weights_from_lsq({.tensors = table(),
                             .w = w_.as<float>(),
                             .steps = steps_.as<float>(),
                             .weights = values_.as<float>(),
                             .weight_units = units_.as<float>()});
}

void LsqWeights::step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* /*metrics*/) {
  backend_.lsq_step({.tensors = table(),
                     .rule = rule,
                     .inputs = inputs,
                     .d_weights = gradients_,
                     .w = w_.as<float>(),
                     .w_momentum = momentum_.as<float>(),
                     .steps = steps_.as<float>(),
                     .step_momentum = step_momentum_.as<float>(),
                     .scratch = scratch_.data(),
                     .sensitivities = is_measuring_ ? sensitivities_.as<float>() : nullptr});
  write_effective();
}

void LsqWeights::reset_momentum() {
  backend_.fill_zero(momentum_.data(), momentum_.size_bytes());
  backend_.fill_zero(step_momentum_.data(), step_momentum_.size_bytes());
}

std::int64_t LsqWeights::trainable_numbers() const {
  std::int64_t count = 0;
  for (const LsqTensor& tensor : tensors_) count += tensor.high > 0 ? tensor.numel + tensor.rows : 0;
  return count;
}

void LsqWeights::load_momentum(const TensorFile& file) {
  const std::string suffix(kMomentumSuffix);
  std::vector<float> steps, sensitivities;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const ParameterSpec& spec = layout_.slots[i].spec;
    const std::vector<std::string> names = StoredLsq::tensor_names(spec.name);
    upload_array(backend_, momentum_.as<float>() + tensors_[i].weight_offset,
                 read_tensor(file, names[0] + suffix, spec));
    if (has_channels(tensors_[i])) {
      const ParameterSpec channels{.name = StoredLsq::channel_steps_name(spec.name) + suffix, .shape = {spec.shape[0]}};
      for (const float step : read_tensor(file, channels.name, channels)) steps.push_back(step);
    } else {
      steps.push_back(read_number(file, names[1] + suffix));
    }
    if (sensitivities_.data() != nullptr)
      sensitivities.push_back(read_number(file, StoredLsq::sensitivity_name(spec.name) + suffix));
  }
  if (!sensitivities.empty()) upload_array(backend_, sensitivities_.as<float>(), sensitivities);
  upload_array(backend_, step_momentum_.as<float>(), steps);
}

}  // namespace bsq
