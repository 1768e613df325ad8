#include "engine/methods/dorefa/dorefa_weights.h"

#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

namespace bsq {

DorefaWeights::DorefaWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                             const StoredDorefa& stored)
    : backend_(memory.backend()), layout_(layout), gradients_(gradients) {
  const std::vector<DorefaTensorAtRest>& weights = stored.all();
  require(weights.size() == layout.slots.size(), "{} tensors for {} slots", weights.size(), layout.slots.size());
  const std::size_t count = layout.slots.size();
  const auto numel = static_cast<std::size_t>(layout.numel);
  table_ = memory.allocate_array<DorefaTensor>("DoReFa weights, table", count);
  v_ = memory.allocate_array<float>("DoReFa weights", numel);
  momentum_ = memory.allocate_array<float>("DoReFa weights, momentum", numel);
  peaks_ = memory.allocate_array<DorefaPeak>("DoReFa weights, peaks", count);
  values_ = memory.allocate_array<float>("effective weights", numel);
  units_ = memory.allocate_array<float>("effective weights, units", count);
  for (std::size_t i = 0; i < count; ++i) {
    const ParameterSlot& slot = layout.slots[i];
    tensors_.push_back({.numel = slot.spec.shape.numel(),
                        .weight_offset = slot.offset,
                        .bits = weights[i].bits,
                        .scale = weights[i].scale,
                        .storage = storage_of(slot),
                        .decays = slot.decay.weights});
  }
  scratch_ = memory.allocate("DoReFa weights, scratch", backend_.dorefa_scratch_bytes(table()));
  set(stored);
}

void DorefaWeights::set(const StoredWeights& weights) {
  const std::vector<DorefaTensorAtRest>& stored = dynamic_cast<const StoredDorefa&>(weights).all();
  for (std::size_t i = 0; i < stored.size(); ++i) {
    require(stored[i].bits == tensors_[i].bits, "{} bits in the place of {}", stored[i].bits, tensors_[i].bits);
    tensors_[i].scale = stored[i].scale;
    upload_array(backend_, v_.as<float>() + layout_.slots[i].offset, stored[i].v);
  }
  upload_array(backend_, table_.as<DorefaTensor>(), tensors_);
  write_effective();
}

OnDevice<Weights> DorefaWeights::on_device(const Buffer& v) const {
  return {.spans = {{v.as<float>(), static_cast<std::size_t>(layout_.numel)}},
          .to_host = [tensors = tensors_](HostCopies copies) -> Weights {
            std::vector<DorefaTensorAtRest> result;
            for (const DorefaTensor& tensor : tensors) {
              const auto begin = copies[0].begin() + tensor.weight_offset;
              result.push_back({.bits = tensor.bits, .scale = tensor.scale, .v = {begin, begin + tensor.numel}});
            }
            return std::make_shared<StoredDorefa>(std::move(result));
          }};
}

OnDevice<Weights> DorefaWeights::masters() const {
  return on_device(v_);
}

OnDevice<Weights> DorefaWeights::momentum() const {
  return on_device(momentum_);
}

std::size_t DorefaWeights::largest_count() const {
  return static_cast<std::size_t>(layout_.numel);
}

std::vector<TensorCounts> DorefaWeights::count() const {
  return count_weights(*download(backend_, masters()));
}

TensorView DorefaWeights::effective(std::size_t slot) const {
  return stored_weights(layout_.slots[slot], values_, units_.as<float>() + slot);
}

void DorefaWeights::write_effective() {
  backend_.weights_from_dorefa({.tensors = table(),
                                .v = v_.as<float>(),
                                .weights = values_.as<float>(),
                                .weight_units = units_.as<float>(),
                                .peaks = peaks_.as<DorefaPeak>(),
                                .scratch = scratch_.data()});
}

void DorefaWeights::step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* /*metrics*/) {
  backend_.dorefa_step({.tensors = table(),
                        .rule = rule,
                        .inputs = inputs,
                        .d_weights = gradients_,
                        .peaks = peaks_.as<DorefaPeak>(),
                        .v = v_.as<float>(),
                        .momentum = momentum_.as<float>(),
                        .scratch = scratch_.data()});
  write_effective();
}

void DorefaWeights::reset_momentum() {
  backend_.fill_zero(momentum_.data(), momentum_.size_bytes());
}

std::int64_t DorefaWeights::trainable_numbers() const {
  std::int64_t count = 0;
  for (const DorefaTensor& tensor : tensors_) count += tensor.numel;
  return count;
}

void DorefaWeights::load_momentum(const TensorFile& file) {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const ParameterSpec& spec = layout_.slots[i].spec;
    upload_array(backend_, momentum_.as<float>() + tensors_[i].weight_offset,
                 read_tensor(file, StoredDorefa::tensor_names(spec.name)[0] + std::string(kMomentumSuffix), spec));
  }
}

}  // namespace bsq
