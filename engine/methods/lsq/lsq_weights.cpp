#include "engine/methods/lsq/lsq_weights.h"

#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

#include <cmath>

namespace bsq {
namespace {

/// The symmetric grid of so many bits; g = 1 / sqrt(high numel).
LsqTensor tensor_of(const ParameterSlot& slot, int bits) {
  const int high = (1 << bits) - 1;
  const std::int64_t numel = slot.spec.shape.numel();
  const double product = static_cast<double>(high) * static_cast<double>(numel);
  return {.numel = numel,
          .weight_offset = slot.offset,
          .low = -high,
          .high = high,
          .grad_scale = high == 0 ? 0.0F : static_cast<float>(1 / std::sqrt(product)),
          .storage = storage_of(slot),
          .decays = slot.decay.weights};
}

}  // namespace

LsqWeights::LsqWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients, const StoredLsq& stored,
                       bool measures)
    : backend_(memory.backend()), layout_(layout), gradients_(gradients) {
  const std::vector<LsqTensorAtRest>& weights = stored.all();
  require(weights.size() == layout.slots.size(), "{} tensors for {} slots", weights.size(), layout.slots.size());
  const std::size_t count = layout.slots.size();
  const auto numel = static_cast<std::size_t>(layout.numel);
  table_ = memory.allocate_array<LsqTensor>("LSQ weights, table", count);
  w_ = memory.allocate_array<float>("LSQ weights", numel);
  momentum_ = memory.allocate_array<float>("LSQ weights, momentum", numel);
  steps_ = memory.allocate_array<float>("LSQ weights, steps", count);
  step_momentum_ = memory.allocate_array<float>("LSQ weights, step momentum", count);
  values_ = memory.allocate_array<float>("effective weights", numel);
  units_ = memory.allocate_array<float>("effective weights, units", count);
  if (measures) sensitivities_ = memory.allocate_array<float>("LSQ weights, sensitivities", count);
  std::vector<int> bits;
  for (const LsqTensorAtRest& tensor : weights) bits.push_back(tensor.bits);
  make_tensors(bits);
  scratch_ = memory.allocate("LSQ weights, scratch", backend_.lsq_scratch_bytes(table()));
  set(stored);
}

void LsqWeights::make_tensors(const std::vector<int>& bits) {
  tensors_.clear();
  for (std::size_t i = 0; i < bits.size(); ++i) tensors_.push_back(tensor_of(layout_.slots[i], bits[i]));
  bits_ = bits;
  upload_array(backend_, table_.as<LsqTensor>(), tensors_);
}

void LsqWeights::set_bits(const std::vector<int>& bits) {
  require(bits.size() == bits_.size(), "{} widths for {} tensors", bits.size(), bits_.size());
  const std::vector<LsqTensor> before = tensors_;
  std::vector<float> steps = download_array(backend_, steps_.as<float>(), tensors_.size());
  for (std::size_t i = 0; i < bits.size(); ++i)
    require(bits[i] <= bits_[i] && (bits[i] > 0 || bits_[i] == 0), "{} bits in the place of {}", bits[i], bits_[i]);
  make_tensors(bits);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (tensors_[i].high == before[i].high) continue;
    steps[i] = static_cast<float>(static_cast<double>(steps[i]) * before[i].high / tensors_[i].high);
  }
  upload_array(backend_, steps_.as<float>(), steps);
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
  std::vector<float> steps;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    require(stored[i].bits == bits_[i], "{} bits in the place of {}", stored[i].bits, bits_[i]);
    steps.push_back(stored[i].step);
    upload_array(backend_, w_.as<float>() + layout_.slots[i].offset, stored[i].w);
  }
  upload_array(backend_, steps_.as<float>(), steps);
  write_effective();
}

OnDevice<Weights> LsqWeights::on_device(const Buffer& w, const Buffer& steps) const {
  return {.spans = {{w.as<float>(), static_cast<std::size_t>(layout_.numel)}, {steps.as<float>(), tensors_.size()}},
          .to_host = [tensors = tensors_, bits = bits_](HostCopies copies) -> Weights {
            std::vector<LsqTensorAtRest> result;
            for (std::size_t i = 0; i < tensors.size(); ++i) {
              const auto begin = copies[0].begin() + tensors[i].weight_offset;
              result.push_back({.bits = bits[i], .step = copies[1][i], .w = {begin, begin + tensors[i].numel}});
            }
            return std::make_shared<StoredLsq>(std::move(result));
          }};
}

OnDevice<Weights> LsqWeights::masters() const {
  return on_device(w_, steps_);
}

/// With what was measured since the last restart: a run goes on with it.
OnDevice<Weights> LsqWeights::momentum() const {
  OnDevice<Weights> result = on_device(momentum_, step_momentum_);
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
  const std::size_t numbers_per_tensor = sensitivities_.data() == nullptr ? 1 : 2;
  return static_cast<std::size_t>(layout_.numel) + numbers_per_tensor * padded(layout_.slots.size());
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
  for (const LsqTensor& tensor : tensors_) count += tensor.high > 0 ? tensor.numel + 1 : 0;
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
    steps.push_back(read_number(file, names[1] + suffix));
    if (sensitivities_.data() != nullptr)
      sensitivities.push_back(read_number(file, StoredLsq::sensitivity_name(spec.name) + suffix));
  }
  if (!sensitivities.empty()) upload_array(backend_, sensitivities_.as<float>(), sensitivities);
  upload_array(backend_, step_momentum_.as<float>(), steps);
}

}  // namespace bsq
