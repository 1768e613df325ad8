// How a group of parameters is stored and trained; the network sees effective weights and nothing else.
//
// A store owns its masters, momentum and effective weights, all in the order of its ArenaLayout. DenseWeights (float)
// is here, since every network has parameters that stay float; those of quantization methods are in engine/methods.
#pragma once

#include "engine/files/safetensors.h"
#include "engine/model/model_state.h"
#include "engine/network/parameters.h"

#include <cmath>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace bsq {

class WeightStore {
 public:
  virtual ~WeightStore() = default;

  /// The form of masters().
  virtual std::string_view form() const = 0;
  /// The effective weights of a slot of the layout, of the slot's type: what layers read. They are always those of the
  /// masters: whatever sets masters writes them too.
  virtual TensorView effective(std::size_t slot) const = 0;
  /// Enqueues one optimizer step from the gradients this store was made with, and the penalty of metrics[metrics_slot],
  /// before the step, if there is one. `metrics` may be null.
  virtual void step(const SgdRule& rule, const StepInputs* inputs, StepMetrics* metrics) = 0;
  virtual void reset_momentum() = 0;
  /// Takes over weights of the store's form and of the widths that it has; momentum stays.
  virtual void set(const StoredWeights& weights) = 0;
  /// Writes the effective weights of masters that were overwritten in device memory.
  virtual void write_effective() = 0;

  /// What the optimizer moves, and its momentum.
  virtual OnDevice<Weights> masters() const = 0;
  virtual OnDevice<Weights> momentum() const = 0;
  /// The most numbers that masters() can have, and momentum() too, every span filled up to a multiple of 16.
  virtual std::size_t largest_count() const = 0;
  /// Counts on the device if weights are rounded there. Waits for the work enqueued so far.
  virtual std::vector<TensorCounts> count() const = 0;

  /// By what factor the output of each channel of a filter is larger than that of the weights that the store was made
  /// from, where norms take that in; empty: all are as they were.
  virtual std::vector<float> output_scales(std::size_t /*slot*/) const { return {}; }

  /// Reads the tensors of momentum() from a file.
  virtual void load_momentum(const TensorFile& file) = 0;
  /// How many numbers the optimizer moves.
  virtual std::int64_t trainable_numbers() const = 0;
};

/// Makes the store of a layout. `gradients`: an arena of the same layout.
using StoreMaker = std::function<std::unique_ptr<WeightStore>(DeviceMemory& memory, const ArenaLayout& layout,
                                                              const float* gradients)>;

/// Convolution filters are integers: a forward convolution of integer levels is exact in every precision (METHOD 9).
WeightStorage storage_of(const ParameterSlot& slot);
/// The effective weights of a quantized slot, which lie at its offset in `arena`, counted in floats whatever their
/// type. `unit`: what a stored 1 is worth, if they are stored as integers.
TensorView stored_weights(const ParameterSlot& slot, const Buffer& arena, const float* unit);

/// WeightStore::count() from what the device has counted of tensors with these bit widths. If there was a NaN, the host
/// counts, which throws the error that a conversion would. Scales are those of files: not below 0.
template <typename Tensor>
std::vector<TensorCounts> tensor_counts(Backend& backend, const WeightStore& store, const std::vector<Tensor>& tensors,
                                        const Buffer& scales, const Buffer& counts) {
  const std::vector<float> host_scales = download_array(backend, scales.as<float>(), tensors.size());
  const std::vector<WeightCounts> found = download_array(backend, counts.as<WeightCounts>(), tensors.size());
  std::vector<TensorCounts> result;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (found[i].nans > 0) return count_weights(*download(backend, store.masters()));
    const auto* ones = found[i].ones.data();
    result.push_back({tensors[i].bits,
                      std::abs(host_scales[i]),
                      found[i].zeros,
                      {ones, ones + tensors[i].bits},
                      found[i].evens == 0});
  }
  return result;
}

/// `count` filled up to a multiple of 16.
std::size_t padded(std::size_t count);

/// Reads `name` of `file`, checks its shape, uploads it to its place in the arena. Throws Error(checkpoint).
void load_tensor(Backend& backend, const ParameterSlot& slot, float* arena, const TensorFile& file,
                 const std::string& name);

}  // namespace bsq
