#include "engine/methods/fixed_point/fixed_point_weights.h"

#include "engine/model/tensor_names.h"
#include "kernels/base/error.h"

namespace bsq {

FixedPointWeights::FixedPointWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                     const StoredFixedPoint& stored)
    : backend_(memory.backend()), layout_(layout), gradients_(gradients) {
  const std::vector<FixedPoint>& weights = stored.all();
  require(weights.size() == layout.slots.size(), "{} tensors for {} slots", weights.size(), layout.slots.size());
  const std::size_t count = layout.slots.size();
  const auto numel = static_cast<std::size_t>(layout.numel);
  table_ = memory.allocate_array<FixedTensor>("fixed-point weights, table", count);
  u_ = memory.allocate_array<float>("fixed-point weights", numel);
  momentum_ = memory.allocate_array<float>("fixed-point weights, momentum", numel);
  scales_ = memory.allocate_array<float>("fixed-point weights, scales", count);
  scale_momentum_ = memory.allocate_array<float>("fixed-point weights, scale momentum", count);
  values_ = memory.allocate_array<float>("effective weights", numel);
  units_ = memory.allocate_array<float>("effective weights, units", count);
  counts_ = memory.allocate_array<WeightCounts>("fixed-point weights, counts", count);
  std::vector<float> scales;
  for (std::size_t i = 0; i < count; ++i) {
    const ParameterSlot& slot = layout.slots[i];
    tensors_.push_back({.numel = slot.spec.shape.numel(),
                        .weight_offset = slot.offset,
                        .bits = weights[i].bits,
                        .storage = storage_of(slot)});
    scales.push_back(weights[i].scale);
    upload_array(backend_, u_.as<float>() + slot.offset, weights[i].u);
  }
  upload_array(backend_, table_.as<FixedTensor>(), tensors_);
  upload_array(backend_, scales_.as<float>(), scales);
  scratch_ = memory.allocate("fixed-point weights, scratch", backend_.fixed_scratch_bytes(table()));
  write_effective();
}

OnDevice<Weights> FixedPointWeights::on_device(const Buffer& arena, const Buffer& scales) const {
  return {
      .spans = {{arena.as<float>(), static_cast<std::size_t>(layout_.numel)}, {scales.as<float>(), tensors_.size()}},
      .to_host = [tensors = tensors_](HostCopies copies) {
        std::vector<FixedPoint> weights;
        for (std::size_t i = 0; i < tensors.size(); ++i) {
          const auto begin = copies[0].begin() + tensors[i].weight_offset;
          weights.push_back({tensors[i].bits, copies[1][i], {begin, begin + tensors[i].numel}});
        }
        return Weights(std::make_shared<StoredFixedPoint>(std::move(weights)));
      }};
}

OnDevice<Weights> FixedPointWeights::masters() const {
  return on_device(u_, scales_);
}

OnDevice<Weights> FixedPointWeights::momentum() const {
  return on_device(momentum_, scale_momentum_);
}

std::size_t FixedPointWeights::largest_count() const {
  return static_cast<std::size_t>(layout_.numel) + padded(layout_.slots.size());
}

std::vector<TensorCounts> FixedPointWeights::count() const {
  backend_.count_fixed(
      {.tensors = table(), .u = u_.as<float>(), .scales = scales_.as<float>(), .counts = counts_.as<WeightCounts>()});
  return tensor_counts(backend_, *this, tensors_, scales_, counts_);
}

TensorView FixedPointWeights::effective(std::size_t slot) const {
  return stored_weights(layout_.slots[slot], values_, units_.as<float>() + slot);
}

void FixedPointWeights::write_effective() {
  backend_.weights_from_fixed({.tensors = table(),
                               .u = u_.as<float>(),
                               .scales = scales_.as<float>(),
                               .weights = values_.as<float>(),
                               .weight_units = units_.as<float>()});
}

void FixedPointWeights::step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* /*metrics*/) {
  backend_.fixed_step({.tensors = table(),
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

void FixedPointWeights::reset_momentum() {
  backend_.fill_zero(momentum_.data(), momentum_.size_bytes());
  backend_.fill_zero(scale_momentum_.data(), scale_momentum_.size_bytes());
}

std::int64_t FixedPointWeights::trainable_numbers() const {
  std::int64_t count = 0;
  for (const FixedTensor& tensor : tensors_) count += tensor.bits > 0 ? tensor.numel + 1 : 0;
  return count;
}

void FixedPointWeights::load_momentum(const TensorFile& file) {
  const std::string suffix(kMomentumSuffix);
  std::vector<float> scales;
  for (const ParameterSlot& slot : layout_.slots) {
    load_tensor(backend_, slot, momentum_.as<float>(), file, plane_name(slot.spec.name, "u") + suffix);
    scales.push_back(read_number(file, scale_name(slot.spec.name) + suffix));
  }
  upload_array(backend_, scale_momentum_.as<float>(), scales);
}

}  // namespace bsq
