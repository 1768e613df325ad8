// SGD with momentum on plain parameters.
#pragma once

#include "kernels/types.h"

namespace bsq {

/// SGD with momentum as in PyTorch: v = momentum v + g + weight_decay x; x -= learning_rate v, or with `nesterov`
/// x -= learning_rate (g + weight_decay x + momentum v), with the new v and the old x.
struct SgdRule {
  float momentum = 0.9F;
  float weight_decay = 1e-4F;
  bool nesterov = false;
};

/// The rule, without decay for numbers that weight decay leaves alone.
constexpr SgdRule rule_for(SgdRule rule, bool decays) {
  if (!decays) rule.weight_decay = 0;
  return rule;
}

/// What of a quantized tensor weight decay pulls at.
struct DecayedParts {
  bool weights = true;
  bool scale = true;
};

/// What a mark of SgdStepArgs says of kMarkBlock numbers: these two, added up.
inline constexpr std::uint8_t kDecays = 1;  // weight decay pulls at them
inline constexpr std::uint8_t kHalves = 2;  // a step at most halves them, so that they stay above 0
inline constexpr std::int64_t kMarkBlock = 16;

/// sgd_step: one such step of `numel` parameters, with the learning rate of `inputs`.
struct SgdStepArgs {
  std::int64_t numel = 0;
  SgdRule rule;
  const StepInputs* inputs = nullptr;
  const float* gradient = nullptr;
  float* parameter = nullptr;
  float* momentum = nullptr;
  /// [numel / kMarkBlock, rounded up]; null: all decay, and none halves.
  const std::uint8_t* marks = nullptr;
};

}  // namespace bsq
