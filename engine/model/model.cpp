// Stores, gradients and statistics of one network, and their way to and from files.
#include "engine/model/model.h"

#include "engine/model/tensor_names.h"
#include "engine/network/multiplications.h"
#include "kernels/base/error.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

namespace bsq {
namespace {

constexpr std::int64_t kStateAlignment = 16;

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Model::Model(DeviceMemory& memory, Network network, DType dtype, std::uint64_t seed, const StoreMaker& make_store,
             const NoDecay& no_decay)
    : backend_(memory.backend()),
      network_(std::move(network)),
      dtype_(dtype),
      quantized_layout_(lay_out_quantized(network_, dtype, no_decay)),
      plain_layout_(lay_out(network_.parameters(), ParameterGroup::plain, dtype, no_decay)) {
  const auto gradient_count = static_cast<std::size_t>(quantized_layout_.numel + plain_layout_.numel);
  gradients_ = memory.allocate_array<float>("gradients", gradient_count);
  quantized_ = make_store(memory, quantized_layout_, gradients_.as<float>());
  plain_ = std::make_unique<DenseWeights>(memory, plain_layout_, gradients_.as<float>() + quantized_layout_.numel,
                                          "plain parameters");
  for (const ParameterSlot& slot : plain_layout_.slots) plain_->set(slot, initial_values(slot.spec, seed));

  std::int64_t state_count = 0;
  for (const StateSpec& state : network_.states()) {
    state_offsets_.push_back(state_count);
    state_count += (state.numel + kStateAlignment - 1) / kStateAlignment * kStateAlignment;
  }
  states_ = memory.allocate_array<float>("running statistics", static_cast<std::size_t>(state_count));
  for (std::size_t i = 0; i < state_offsets_.size(); ++i) {
    const StateSpec& state = network_.states()[i];
    upload_array(backend_, states_.as<float>() + state_offsets_[i],
                 std::vector<float>(static_cast<std::size_t>(state.numel), state.initial));
  }
  resolve_parameters();
}

void Model::resolve_parameters() {
  std::size_t next_quantized = 0;
  std::size_t next_plain = 0;
  for (const ParameterSpec& spec : network_.parameters()) {
    const bool quantized = spec.group == ParameterGroup::quantized;
    const std::size_t index = quantized ? next_quantized++ : next_plain++;
    const ParameterSlot& slot = (quantized ? quantized_layout_ : plain_layout_).slots[index];
    parameters_.values.push_back(quantized ? quantized_->effective(index) : plain_->effective(index));
    parameters_.gradients.push_back(gradients_.as<float>() + (quantized ? 0 : quantized_layout_.numel) + slot.offset);
  }
  for (const std::int64_t offset : state_offsets_) parameters_.states.push_back(states_.as<float>() + offset);
}

void Model::step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* metrics) {
  quantized_->step(rule, inputs, metrics);
  plain_->step(rule, inputs, metrics);
}

void Model::reset_momentum() {
  quantized_->reset_momentum();
  plain_->reset_momentum();
}

void Model::overwrite(const DeviceSpan& own, const float* from) {
  backend_.copy(const_cast<float*>(own.data), from, own.size_bytes());  // it is this model's memory
}

void Model::write_effective() {
  quantized_->write_effective();
  plain_->write_effective();
}

OnDevice<ModelState> Model::on_device(StateScope scope) const {
  OnDevice<ModelState> result;
  std::vector<OnDevice<Weights>> parts = {quantized_->masters(), plain_->masters()};
  if (scope == StateScope::model_and_momentum) {
    parts.push_back(quantized_->momentum());
    parts.push_back(plain_->momentum());
  }
  for (const OnDevice<Weights>& part : parts)
    result.spans.insert(result.spans.end(), part.spans.begin(), part.spans.end());
  result.spans.push_back({states_.as<float>(), states_.size_bytes() / sizeof(float)});
  result.to_host = [parts = std::move(parts), tracked = batches_tracked](HostCopies copies) {
    std::vector<Weights> found;
    auto next = std::make_move_iterator(copies.begin());
    for (const OnDevice<Weights>& part : parts) {
      const auto end = next + static_cast<std::ptrdiff_t>(part.spans.size());
      found.push_back(part.to_host(HostCopies(next, end)));
      next = end;
    }
    ModelState state{.weights = std::move(found[0]),
                     .plain = std::move(found[1]),
                     .statistics = *next,
                     .batches_tracked = tracked,
                     .momentum = std::nullopt};
    if (found.size() > 2) state.momentum = MomentumState{std::move(found[2]), std::move(found[3])};
    return state;
  };
  return result;
}

std::size_t Model::largest_state_bytes(StateScope scope) const {
  const std::size_t copies = scope == StateScope::model ? 1 : 2;
  return copies * (quantized_->largest_count() + plain_->largest_count()) * sizeof(float) + states_.size_bytes();
}

// ---- files of a state: they read nothing that training changes ----------------------------------------------------

std::vector<HostTensor> Model::save_plain(const ModelState& state) const {
  std::vector<HostTensor> tensors = state.plain->tensors(plain_layout_);
  for (std::size_t i = 0; i < state_offsets_.size(); ++i) {
    const StateSpec& spec = network_.states()[i];
    const std::span values(state.statistics.data() + state_offsets_[i], static_cast<std::size_t>(spec.numel));
    tensors.push_back(HostTensor::from<float>(spec.name, {spec.numel}, values));
  }
  for (const std::string& counter : network_.batch_counters())
    tensors.push_back(HostTensor::from<std::int64_t>(counter, {}, std::span(&state.batches_tracked, 1)));
  return tensors;
}

TensorFile Model::save(const ModelState& state, const StoredWeights& weights, ModelCard card) const {
  card.describe(weights, quantized_layout_);
  TensorFile file;
  file.metadata = to_metadata(card);
  file.tensors = weights.tensors(quantized_layout_);
  for (HostTensor& tensor : save_plain(state)) file.tensors.push_back(std::move(tensor));
  return file;
}

TensorFile Model::save_momentum(const MomentumState& momentum) const {
  TensorFile file;
  file.tensors = momentum.weights->tensors(quantized_layout_, kMomentumSuffix);
  for (HostTensor& tensor : momentum.plain->tensors(plain_layout_, kMomentumSuffix))
    file.tensors.push_back(std::move(tensor));
  return file;
}

void Model::load_plain(const TensorFile& file) {
  check_states(file, network_);
  for (const ParameterSlot& slot : plain_layout_.slots)
    if (!slot.spec.optional || file.find(slot.spec.name) != nullptr) plain_->load(file, slot);
  for (std::size_t i = 0; i < state_offsets_.size(); ++i) {
    const StateSpec& state = network_.states()[i];
    if (state.optional && file.find(state.name) == nullptr) continue;
    upload_array(backend_, states_.as<float>() + state_offsets_[i], read_state(file, state));
  }
  for (const HostTensor& tensor : file.tensors)
    if (has(network_.batch_counters(), tensor.name) && tensor.dtype == DType::i64 && tensor.numel() == 1)
      batches_tracked = tensor.values<std::int64_t>()[0];
}

void Model::load_momentum(const TensorFile& file) {
  quantized_->load_momentum(file);
  plain_->load_momentum(file);
}

}  // namespace bsq
