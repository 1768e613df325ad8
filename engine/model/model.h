// A network with its parameters: the two weight stores, the flat gradient buffer and the running statistics.
#pragma once

#include "engine/methods/bsq/plane_weights.h"
#include "engine/methods/dense/dense_weights.h"
#include "engine/methods/fixed_point/fixed_point_weights.h"
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
  /// Plain parameters and statistics get their start values; `make_weights` decides the form of the quantized store.
  /// `dtype`: of activations and filters.
  Model(DeviceMemory& memory, Network network, DType dtype, std::uint64_t seed, const PlaneOptions& plane_options,
        const std::function<HostWeights(const ArenaLayout&)>& make_weights);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const Network& network() const { return network_; }
  DType dtype() const { return dtype_; }
  const ParameterMemory& parameters() const { return parameters_; }
  const ArenaLayout& quantized_layout() const { return quantized_layout_; }
  const ArenaLayout& plain_layout() const { return plain_layout_; }
  WeightStore& quantized() { return *quantized_; }
  const WeightStore& quantized() const { return *quantized_; }
  /// Null unless the weights are bit planes.
  PlaneWeights* planes() { return dynamic_cast<PlaneWeights*>(quantized_.get()); }
  DenseWeights& plain() { return *plain_; }

  /// Of both stores; see WeightStore.
  void step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* metrics);
  void reset_momentum();
  /// All gradients: what data-parallel ranks reduce. Bytes = 4 * (quantized + plain parameters, padded).
  const Buffer& gradients() const { return gradients_; }
  /// Running statistics of all batch norms, and calibrated activation scales.
  const Buffer& states() const { return states_; }

  HostWeights host_weights() const;
  /// All that a file holds, as it is now.
  OnDevice<ModelState> on_device(StateScope scope) const;
  ModelState state(StateScope scope = StateScope::model) const { return download(backend_, on_device(scope)); }
  /// The most memory that spans of it can take, each filled up to a multiple of 64 bytes.
  std::size_t largest_state_bytes() const;

  // What files hold of a state of this model; while it is trained on, another thread may ask for those of a snapshot.
  /// Every tensor under PyTorch's names; the metadata are `card` with form and scheme of the weights.
  TensorFile save(const ModelState& state, const ModelCard& card = {}) const;
  /// The quantized tensors as plain float effective weights, otherwise as save(): loads into any PyTorch ResNet.
  TensorFile save_as_float(const ModelState& state, const ModelCard& card = {}) const;
  /// Bit planes whatever the form is (fixed-point weights convert exactly); float weights are saved as they are.
  TensorFile save_as_planes(const ModelState& state, const ModelCard& card = {}) const;
  TensorFile save_momentum(const MomentumState& momentum) const;

  TensorFile save() const { return save(state()); }
  TensorFile save_as_float() const { return save_as_float(state()); }
  TensorFile save_as_planes() const { return save_as_planes(state()); }
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

/// Strips `module.`, renames `shortcut` to `downsample` and `linear` to `fc`; returns the renamings as `old -> new`.
std::vector<std::string> normalize_names(TensorFile& file);
/// Throws Error(checkpoint) listing every missing and every unexpected tensor, as load_state_dict(strict=True) does.
void check_names(const TensorFile& file, const Network& network);

}  // namespace bsq
