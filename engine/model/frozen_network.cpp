#include "engine/model/frozen_network.h"

#include "engine/model/tensor_names.h"
#include "engine/model/weight_store.h"

#include <algorithm>

namespace bsq {
namespace {

/// All parameters as one group, in the order of the network.
ArenaLayout lay_out_all(const Network& network, DType dtype) {
  std::vector<ParameterSpec> parameters = network.parameters();
  for (ParameterSpec& parameter : parameters) parameter.group = ParameterGroup::plain;
  return lay_out(parameters, ParameterGroup::plain, dtype);
}

}  // namespace

FrozenNetwork::FrozenNetwork(DeviceMemory& memory, const std::string& whose, Network network, DType dtype,
                             const TensorFile& file)
    : network_(std::move(network)), layout_(lay_out_all(network_, dtype)) {
  load_parameters(memory, whose, file);
  load_states(memory, whose, file);
}

void FrozenNetwork::load_parameters(DeviceMemory& memory, const std::string& whose, const TensorFile& file) {
  Backend& backend = memory.backend();
  const auto numel = static_cast<std::size_t>(layout_.numel);
  values_ = memory.allocate_array<float>(whose + ", parameters", numel);
  const auto is_rounded = [](const ParameterSlot& slot) { return slot.dtype == DType::bf16; };
  if (std::ranges::any_of(layout_.slots, is_rounded))
    rounded_ = memory.allocate(whose + ", rounded filters", numel * size_of(DType::bf16));
  for (const ParameterSlot& slot : layout_.slots) {
    const ParameterSpec& spec = slot.spec;
    float* const place = values_.as<float>() + slot.offset;
    const bool keeps_start = spec.optional && file.find(spec.name) == nullptr;
    upload_array(backend, place, keeps_start ? initial_values(spec, 0) : read_tensor(file, spec.name, spec));
    void* effective = place;
    if (is_rounded(slot)) {
      effective = rounded_.as<std::byte>() + static_cast<std::size_t>(slot.offset) * size_of(DType::bf16);
      backend.round_to_bf16({spec.shape.numel(), place, effective});
    }
    parameters_.values.push_back({slot.dtype, spec.shape, effective});
    parameters_.gradients.push_back(nullptr);
  }
}

void FrozenNetwork::load_states(DeviceMemory& memory, const std::string& whose, const TensorFile& file) {
  check_states(file, network_);
  std::size_t count = 0;
  for (const StateSpec& state : network_.states()) count += padded(static_cast<std::size_t>(state.numel));
  states_ = memory.allocate_array<float>(whose + ", running statistics", count);
  auto* place = states_.as<float>();
  for (const StateSpec& state : network_.states()) {
    const bool keeps_start = state.optional && file.find(state.name) == nullptr;
    const auto numel = static_cast<std::size_t>(state.numel);
    upload_array(memory.backend(), place,
                 keeps_start ? std::vector<float>(numel, state.initial) : read_state(file, state));
    parameters_.states.push_back(place);
    place += padded(numel);
  }
}

}  // namespace bsq
