#include "engine/fixed_point_weights.h"

#include "kernels/error.h"

namespace bsq {

FixedPointWeights::FixedPointWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                     const std::vector<FixedPoint>& weights)
    : backend_(memory.backend()), layout_(layout), gradients_(gradients) {
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

std::vector<FixedPoint> FixedPointWeights::weights() const {
  std::vector<FixedPoint> result;
  const std::vector<float> scales = download_array(backend_, scales_.as<float>(), tensors_.size());
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const FixedTensor& tensor = tensors_[i];
    result.push_back(
        {.bits = tensor.bits,
         .scale = scales[i],
         .u = download_array(backend_, u_.as<float>() + tensor.weight_offset, static_cast<std::size_t>(tensor.numel))});
  }
  return result;
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

std::vector<HostTensor> FixedPointWeights::save_arena(const Buffer& arena, const Buffer& scales,
                                                      std::string_view suffix) const {
  std::vector<HostTensor> result;
  const std::vector<float> host_scales = download_array(backend_, scales.as<float>(), tensors_.size());
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const ParameterSlot& slot = layout_.slots[i];
    const auto named = [&](const std::string& name) { return name + std::string(suffix); };
    result.push_back(host_tensor(backend_, slot, arena.as<float>(), named(plane_name(slot.spec.name, "u"))));
    result.push_back(HostTensor::from<float>(named(scale_name(slot.spec.name)), {1}, std::span(&host_scales[i], 1)));
  }
  return result;
}

std::vector<HostTensor> FixedPointWeights::save() const {
  return save_arena(u_, scales_, "");
}

std::vector<HostTensor> FixedPointWeights::save_momentum() const {
  return save_arena(momentum_, scale_momentum_, ".momentum_buffer");
}

void FixedPointWeights::load_momentum(const TensorFile& file) {
  const std::string suffix = ".momentum_buffer";
  std::vector<float> scales;
  for (const ParameterSlot& slot : layout_.slots) {
    load_tensor(backend_, slot, momentum_.as<float>(), file, plane_name(slot.spec.name, "u") + suffix);
    scales.push_back(load_number(file, scale_name(slot.spec.name) + suffix));
  }
  upload_array(backend_, scale_momentum_.as<float>(), scales);
}

std::vector<FixedPoint> FixedPointWeights::load(const TensorFile& file, const ArenaLayout& layout,
                                                const std::vector<int>& bits) {
  std::vector<FixedPoint> result;
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    const HostTensor& u = file.at(plane_name(spec.name, "u"));
    check_shape(file, u, spec);
    const auto values = u.values<float>();
    result.push_back({.bits = bits[i],
                      .scale = load_number(file, scale_name(spec.name)),
                      .u = from_file_layout({values.begin(), values.end()}, spec.shape)});
  }
  return result;
}

}  // namespace bsq
