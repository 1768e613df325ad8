// A network with its parameters: the two weight stores, the flat gradient buffer and the running statistics.
#pragma once

#include "engine/model/dense_weights.h"
#include "engine/model/model_card.h"
#include "engine/model/model_state.h"
#include "engine/model/stored_weights.h"
#include "engine/network/network.h"

#include <functional>
#include <map>
#include <memory>

namespace bsq {

class Model {
 public:
  /// Plain parameters and statistics get their start values; `make_store` decides how the others are stored and
  /// trained. `dtype`: the type of activations and filters. `no_decay`: what step() does not decay.
  Model(DeviceMemory& memory, Network network, DType dtype, std::uint64_t seed, const StoreMaker& make_store,
        const NoDecay& no_decay = {});
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const Network& network() const { return network_; }
  DType dtype() const { return dtype_; }
  const ParameterMemory& parameters() const { return parameters_; }
  const ArenaLayout& quantized_layout() const { return quantized_layout_; }
  const ArenaLayout& plain_layout() const { return plain_layout_; }
  WeightStore& quantized() { return *quantized_; }
  const WeightStore& quantized() const { return *quantized_; }
  DenseWeights& plain() { return *plain_; }

  /// Steps both stores; see WeightStore::step.
  void step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* metrics);
  void reset_momentum();
  /// Enqueues a copy of numbers over some of this model's own: a part of a span of on_device(StateScope::model).
  /// write_effective() has to follow.
  void overwrite(const DeviceSpan& own, const float* from);
  void write_effective();
  /// All gradients: what data-parallel ranks reduce. Bytes = 4 * (quantized + plain parameters, padded).
  const Buffer& gradients() const { return gradients_; }
  /// Running statistics of all batch norms, and calibrated activation scales.
  const Buffer& states() const { return states_; }

  /// The quantizable weights, as they are now.
  Weights weights() const { return download(backend_, quantized_->masters()); }
  /// All that a file holds, as it is now.
  OnDevice<ModelState> on_device(StateScope scope) const;
  ModelState state(StateScope scope = StateScope::model) const { return download(backend_, on_device(scope)); }
  /// The most memory that the spans of on_device() can take, each filled up to a multiple of 64 bytes.
  std::size_t largest_state_bytes(StateScope scope) const;

  // Files of a state of this model. Another thread may make those of a snapshot while the model is trained on.
  /// Every tensor under PyTorch's names; the metadata are `card` with form and scheme of the weights.
  TensorFile save(const ModelState& state, const ModelCard& card = {}) const {
    return save(state, *state.weights, card);
  }
  /// The same with `weights` in the place of the state's: the same ones in another form.
  TensorFile save(const ModelState& state, const StoredWeights& weights, ModelCard card = {}) const;
  TensorFile save_momentum(const MomentumState& momentum) const;

  TensorFile save() const { return save(state()); }
  TensorFile save_momentum() const { return save_momentum(*state(StateScope::model_and_momentum).momentum); }
  /// Plain parameters and running statistics; PACT ceilings and activation scales that the file does not have keep
  /// their start values.
  void load_plain(const TensorFile& file);
  void load_momentum(const TensorFile& file);

  std::int64_t trainable_numbers() const { return quantized_->trainable_numbers() + plain_->trainable_numbers(); }
  /// How many training steps the batch norms have seen (PyTorch's num_batches_tracked).
  std::int64_t batches_tracked = 0;

 private:
  void resolve_parameters();
  std::vector<HostTensor> save_plain(const ModelState& state) const;

  Backend& backend_;
  Network network_;
  DType dtype_;
  ArenaLayout quantized_layout_;
  ArenaLayout plain_layout_;
  Buffer gradients_;
  Buffer states_;
  std::vector<std::int64_t> state_offsets_;
  std::unique_ptr<WeightStore> quantized_;
  std::unique_ptr<DenseWeights> plain_;
  ParameterMemory parameters_;
};

}  // namespace bsq
