// A method of quantization: how a stage trains its weights.
//
// A stage asks its method for a weight store and for what happens between epochs; all else (steps, evaluation,
// checkpoints, logs) is the stage's. A method knows its section of the configuration and no other method; between
// methods go weights at rest.
#pragma once

#include "engine/model/weight_store.h"

#include <nlohmann/json.hpp>

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

/// What a method says of an epoch that begins, or of the end of its stage.
struct EpochNote {
  std::string event;                                                 // its name in metrics.jsonl
  nlohmann::ordered_json fields = nlohmann::ordered_json::object();  // of the event, behind stage and epoch
  std::string text;                                                  // for the log of the run
};

/// Why no stage can finetune float weights.
inline constexpr std::string_view kNoWidths =
    "is a float model and has no bit widths to finetune under; put a stage before finetune that finds them, or start "
    "from a quantized model (bsq convert makes one)";

class Method {
 public:
  virtual ~Method() = default;

  virtual MethodDescription describe() const = 0;

  /// A store that trains on from these weights, whatever their form. Throws Error(usage) if it cannot start from them.
  virtual std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout,
                                                  const float* gradients, const Weights& from) const = 0;
  /// Why it cannot start from them, and what to do; empty if it can.
  virtual std::string refusal(const StoredWeights& /*from*/, const ArenaLayout& /*layout*/) const { return {}; }
  /// What the configuration asks of it that no weights of this network can give, and what they can; empty: nothing.
  virtual std::string conflict(const ArenaLayout& /*layout*/) const { return {}; }
  /// The form in which it hands its weights on, to the next stage and as the best model.
  virtual std::string_view result_form() const = 0;
  /// Bits of the activations in training; 0: not quantized.
  virtual int act_bits() const = 0;

  // An epoch begins with start_epoch(), then epoch_note(), then adjust() if adjusts() says so; its steps get
  // step_numbers(). A stage ends with adjust() and epoch_note() if adjusts() says so. Epochs are counted from 0 within
  // the stage; the store is one that make_store() has made. All ranks make the same calls with the same weights.

  /// Called before the first step of every epoch, and once more where a resumed run goes on within an epoch: then the
  /// weights have moved on, and what is to be found once must be in state(). It may rewrite effective weights, but no
  /// widths: captured steps stay valid.
  virtual void start_epoch(WeightStore& /*store*/, int /*epoch*/) {}
  /// Nothing: the method has nothing to say.
  virtual std::optional<EpochNote> epoch_note() const { return std::nullopt; }
  /// What the method has come to besides the weights, for checkpoints; null: nothing.
  virtual nlohmann::json state() const { return nullptr; }
  /// Goes on from what state() was; not called where a checkpoint has none, as those of older versions. Throws
  /// nlohmann::json::exception if it is no state of this method.
  virtual void restore(const nlohmann::json& /*state*/) {}

  /// The numbers of StepInputs::method in this epoch.
  virtual std::array<float, 4> step_numbers(int /*epoch*/) const { return {}; }

  /// Whether an average of the numbers that train begins anew before this epoch (METHOD 18), although no weights are
  /// adjusted: they are read in another way from here on.
  virtual bool restarts_average(int /*epoch*/) const { return false; }
  /// Whether weights are adjusted before this epoch; `is_end`: after the last one.
  virtual bool adjusts(int /*epoch*/, bool /*is_end*/) const { return false; }
  /// Re-quantizes the weights, which may get other bit widths. Momentum and captured steps are void afterwards.
  virtual void adjust(WeightStore& /*store*/, bool /*is_end*/) {}
  /// What to do if an adjustment leaves nothing but zeros.
  virtual std::string advice_against_zeros() const { return "lower the strength of the quantization"; }
};

}  // namespace bsq
