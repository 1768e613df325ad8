#include "engine/model/dense_weights.h"

#include <algorithm>

namespace bsq {

DenseWeights::DenseWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                           const std::string& name)
    : backend_(memory.backend()),
      layout_(layout),
      gradients_(gradients),
      values_(memory.allocate_array<float>(name, static_cast<std::size_t>(layout.numel))),
      momentum_(memory.allocate_array<float>(name + ", momentum", static_cast<std::size_t>(layout.numel))) {
  const auto is_rounded = [](const ParameterSlot& slot) { return slot.dtype == DType::bf16; };
  if (std::ranges::any_of(layout.slots, is_rounded))
    rounded_ = memory.allocate(name + ", rounded", static_cast<std::size_t>(layout.numel) * size_of(DType::bf16));
  mark_slots(memory, name);
}

void DenseWeights::mark_slots(DeviceMemory& memory, const std::string& name) {
  const auto mark_of = [](const ParameterSlot& slot) {
    const bool stays_positive = slot.spec.role == Role::lsq_clip || slot.spec.role == Role::quantizer_step;
    return static_cast<std::uint8_t>((slot.decay.weights ? kDecays : 0) + (stays_positive ? kHalves : 0));
  };
  if (std::ranges::all_of(layout_.slots, [&](const ParameterSlot& slot) { return mark_of(slot) == kDecays; })) return;
  std::vector<std::uint8_t> marks(static_cast<std::size_t>((layout_.numel + kMarkBlock - 1) / kMarkBlock), kDecays);
  for (const ParameterSlot& slot : layout_.slots) {
    const std::int64_t end = slot.offset + slot.spec.shape.numel();
    for (std::int64_t at = slot.offset; at < end; at += kMarkBlock)
      marks[static_cast<std::size_t>(at / kMarkBlock)] = mark_of(slot);
  }
  marks_ = memory.allocate_array<std::uint8_t>(name + ", what decays", marks.size());
  upload_array(backend_, marks_.as<std::uint8_t>(), marks);
}

DenseWeights::DenseWeights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                           const StoredWeights& weights)
    : DenseWeights(memory, layout, gradients, "quantizable weights") {
  set(weights);
}

void DenseWeights::set(const StoredWeights& weights) {
  for (std::size_t i = 0; i < layout_.slots.size(); ++i) set(layout_.slots[i], weights.values(i));
}

TensorView DenseWeights::effective(std::size_t slot) const {
  const auto& [spec, offset, dtype, decay, bit_operations] = layout_.slots[slot];
  if (dtype == DType::f32) return {dtype, spec.shape, values() + offset};
  return {dtype, spec.shape, rounded_.as<std::byte>() + static_cast<std::size_t>(offset) * size_of(dtype)};
}

void DenseWeights::round(std::int64_t offset, std::int64_t numel) {
  if (rounded_.data() == nullptr) return;
  backend_.round_to_bf16(
      {numel, values() + offset, rounded_.as<std::byte>() + static_cast<std::size_t>(offset) * size_of(DType::bf16)});
}

void DenseWeights::set(const ParameterSlot& slot, const std::vector<float>& values) {
  upload_array(backend_, this->values() + slot.offset, values);
  round(slot.offset, slot.spec.shape.numel());
}

void DenseWeights::load(const TensorFile& file, const ParameterSlot& slot) {
  load_tensor(backend_, slot, values(), file, slot.spec.name);
  round(slot.offset, slot.spec.shape.numel());
}

void DenseWeights::step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* /*metrics*/) {
  backend_.sgd_step(
      {layout_.numel, rule, inputs, gradients_, values(), momentum_.as<float>(), marks_.as<std::uint8_t>()});
  write_effective();
}

void DenseWeights::reset_momentum() {
  backend_.fill_zero(momentum_.data(), momentum_.size_bytes());
}

OnDevice<Weights> DenseWeights::on_device(const Buffer& arena) const {
  return {.spans = {{arena.as<float>(), static_cast<std::size_t>(layout_.numel)}},
          .to_host = [&layout = layout_](const HostCopies& copies) {
            DenseTensors tensors;
            for (const ParameterSlot& slot : layout.slots) {
              const auto begin = copies[0].begin() + slot.offset;
              tensors.emplace_back(begin, begin + slot.spec.shape.numel());
            }
            return Weights(std::make_shared<StoredDense>(std::move(tensors)));
          }};
}

OnDevice<Weights> DenseWeights::masters() const {
  return on_device(values_);
}

OnDevice<Weights> DenseWeights::momentum() const {
  return on_device(momentum_);
}

std::vector<TensorCounts> DenseWeights::count() const {
  return count_weights(*download(backend_, masters()));
}

void DenseWeights::load_momentum(const TensorFile& file) {
  for (const ParameterSlot& slot : layout_.slots)
    load_tensor(backend_, slot, momentum_.as<float>(), file, slot.spec.name + std::string(kMomentumSuffix));
}

}  // namespace bsq
