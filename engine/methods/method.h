// A method of quantization: how a stage trains its weights.
//
// A stage asks its method for a weight store and for what happens between epochs; all else (steps, evaluation,
// checkpoints, logs) is the stage's. A method knows its section of the configuration and no other method; between
// methods go weights at rest.
#pragma once

#include "engine/model/weight_store.h"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace bsq {

/// What reports say of a penalty that steps measure.
struct PenaltyDescription {
  std::string title;    // `Group penalty of BSQ`
  std::string meaning;  // what it measures: `The penalty R on bit planes`
  std::string factor;   // the key of its factor, `bsq.alpha`; numbers are shown without it
};

/// What reports say of a stage that trains by a method.
struct MethodDescription {
  std::string title;              // what its model is called: `float`, `BSQ`, `finetuned`
  std::string settings = {};      // its most important settings in words; empty: it has none
  std::string strength_key = {};  // the key that trades accuracy for bits, `bsq.alpha`: it orders runs; empty: none
  std::optional<PenaltyDescription> penalty = {};  // none: steps measure no penalty, and none is logged
};

class Method {
 public:
  virtual ~Method() = default;

  virtual MethodDescription describe() const = 0;

  /// A store that trains on from these weights, whatever their form. Throws Error(usage) if it cannot start from them.
  virtual std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout,
                                                  const float* gradients, const Weights& from) const = 0;
  /// Why it cannot start from them, and what to do; empty if it can.
  virtual std::string refusal(const StoredWeights& /*from*/, const ArenaLayout& /*layout*/) const { return {}; }
  /// The form in which it hands its weights on, to the next stage and as the best model.
  virtual std::string_view result_form() const = 0;
  /// Bits of the activations in training; 0: not quantized.
  virtual int act_bits() const = 0;

  /// The numbers of StepInputs::method in this epoch, counted from 0 within the stage.
  virtual std::array<float, 4> step_numbers(int /*epoch*/) const { return {}; }

  /// Whether weights are adjusted before this epoch; `is_end`: after the last one.
  virtual bool adjusts(int /*epoch*/, bool /*is_end*/) const { return false; }
  /// Re-quantizes the weights, which may get other bit widths. Momentum and captured steps are void afterwards. The
  /// store is one that make_store() has made.
  virtual void adjust(WeightStore& /*store*/) const {}
  /// What to do if an adjustment leaves nothing but zeros.
  virtual std::string advice_against_zeros() const { return "lower the strength of the quantization"; }
};

}  // namespace bsq
