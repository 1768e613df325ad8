#include "engine/methods/msq/msq_weights.h"

#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

#include <cmath>

namespace bsq {
namespace {

/// The penalty acts where a bit may go, with a pull of 2^-n: so to empty a bit takes as long with any width.
MsqTensor msq_tensor(const ParameterSlot& slot, int bits) {
  const bool may_lose = !slot.spec.widths.fixed && bits > 1;
  return {.numel = slot.spec.shape.numel(),
          .weight_offset = slot.offset,
          .bits = bits,
          .pull = may_lose ? std::ldexp(1.0F, -bits) : 0.0F,
          .storage = storage_of(slot),
          .decay = slot.decay};
}

}  // namespace

MsqWeights::MsqWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients, const StoredMsq& stored)
    : backend_(memory.backend()), layout_(layout), gradients_(gradients) {
  const std::vector<MsqTensorAtRest>& weights = stored.all();
  require(weights.size() == layout.slots.size(), "{} tensors for {} slots", weights.size(), layout.slots.size());
  const std::size_t count = layout.slots.size();
  const auto numel = static_cast<std::size_t>(layout.numel);
  table_ = memory.allocate_array<MsqTensor>("MSQ weights, table", count);
  u_ = memory.allocate_array<float>("MSQ weights", numel);
  momentum_ = memory.allocate_array<float>("MSQ weights, momentum", numel);
  scales_ = memory.allocate_array<float>("MSQ weights, scales", count);
  scale_momentum_ = memory.allocate_array<float>("MSQ weights, scale momentum", count);
  values_ = memory.allocate_array<float>("effective weights", numel);
  units_ = memory.allocate_array<float>("effective weights, units", count);
  for (std::size_t i = 0; i < count; ++i) tensors_.push_back(msq_tensor(layout.slots[i], weights[i].bits));
  upload_array(backend_, table_.as<MsqTensor>(), tensors_);
  scratch_ = memory.allocate("MSQ weights, scratch", backend_.msq_scratch_bytes(table()));
  set(stored);
}

std::vector<int> MsqWeights::bits() const {
  std::vector<int> bits;
  for (const MsqTensor& tensor : tensors_) bits.push_back(tensor.bits);
  return bits;
}

void MsqWeights::set_bits(const std::vector<int>& bits) {
  require(bits.size() == tensors_.size(), "{} widths for {} tensors", bits.size(), tensors_.size());
  for (std::size_t i = 0; i < bits.size(); ++i) {
    require(bits[i] <= tensors_[i].bits && (bits[i] > 0 || tensors_[i].bits == 0), "{} bits in the place of {}",
            bits[i], tensors_[i].bits);
    tensors_[i] = msq_tensor(layout_.slots[i], bits[i]);
  }
  upload_array(backend_, table_.as<MsqTensor>(), tensors_);
  write_effective();
}

std::vector<std::vector<float>> MsqWeights::last_bits() const {
  const Weights weights = download(backend_, masters());
  std::vector<std::vector<float>> shares;
  for (const MsqTensorAtRest& tensor : dynamic_cast<const StoredMsq&>(*weights).all()) {
    std::vector<float>& of_tensor = shares.emplace_back(1, 0.0F);
    for (int bits = 1; bits <= tensor.bits; ++bits)
      of_tensor.push_back(static_cast<float>(share_of_last_bits(tensor, bits)));
  }
  return shares;
}

void MsqWeights::set(const StoredWeights& weights) {
  const std::vector<MsqTensorAtRest>& stored = dynamic_cast<const StoredMsq&>(weights).all();
  std::vector<float> scales;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    require(stored[i].bits == tensors_[i].bits, "{} bits in the place of {}", stored[i].bits, tensors_[i].bits);
    scales.push_back(stored[i].scale);
    upload_array(backend_, u_.as<float>() + layout_.slots[i].offset, stored[i].u);
  }
  upload_array(backend_, scales_.as<float>(), scales);
  write_effective();
}

OnDevice<Weights> MsqWeights::on_device(const Buffer& u, const Buffer& scales) const {
  return {
      .spans = {{u.as<float>(), static_cast<std::size_t>(layout_.numel)}, {scales.as<float>(), tensors_.size()}},
      .to_host = [tensors = tensors_](HostCopies copies) -> Weights {
        std::vector<MsqTensorAtRest> result;
        for (std::size_t i = 0; i < tensors.size(); ++i) {
          const auto begin = copies[0].begin() + tensors[i].weight_offset;
          result.push_back({.bits = tensors[i].bits, .scale = copies[1][i], .u = {begin, begin + tensors[i].numel}});
        }
        return std::make_shared<StoredMsq>(std::move(result));
      }};
}

OnDevice<Weights> MsqWeights::masters() const {
  return on_device(u_, scales_);
}

OnDevice<Weights> MsqWeights::momentum() const {
  return on_device(momentum_, scale_momentum_);
}

std::size_t MsqWeights::largest_count() const {
  return static_cast<std::size_t>(layout_.numel) + padded(layout_.slots.size());
}

std::vector<TensorCounts> MsqWeights::count() const {
  return count_weights(*download(backend_, masters()));
}

TensorView MsqWeights::effective(std::size_t slot) const {
  return stored_weights(layout_.slots[slot], values_, units_.as<float>() + slot);
}

void MsqWeights::write_effective() {
  backend_.weights_from_msq({.tensors = table(),
                             .u = u_.as<float>(),
                             .scales = scales_.as<float>(),
                             .weights = values_.as<float>(),
                             .weight_units = units_.as<float>()});
}

void MsqWeights::step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* /*metrics*/) {
  backend_.msq_step({.tensors = table(),
                     .rule = rule,
                     .inputs = inputs,
                     .d_weights = gradients_,
                     .u = u_.as<float>(),
                     .u_momentum = momentum_.as<float>(),
                     .scales = scales_.as<float>(),
                     .scale_momentum = scale_momentum_.as<float>(),
                     .scratch = scratch_.data()});
  write_effective();
}

void MsqWeights::reset_momentum() {
  backend_.fill_zero(momentum_.data(), momentum_.size_bytes());
  backend_.fill_zero(scale_momentum_.data(), scale_momentum_.size_bytes());
}

std::int64_t MsqWeights::trainable_numbers() const {
  std::int64_t count = 0;
  for (const MsqTensor& tensor : tensors_) count += tensor.bits > 0 ? tensor.numel + 1 : 0;
  return count;
}

void MsqWeights::load_momentum(const TensorFile& file) {
  const std::string suffix(kMomentumSuffix);
  std::vector<float> scales;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const ParameterSpec& spec = layout_.slots[i].spec;
    const std::vector<std::string> names = StoredMsq::tensor_names(spec.name);
    upload_array(backend_, momentum_.as<float>() + tensors_[i].weight_offset,
                 read_tensor(file, names[0] + suffix, spec));
    scales.push_back(read_number(file, names[1] + suffix));
  }
  upload_array(backend_, scale_momentum_.as<float>(), scales);
}

}  // namespace bsq
