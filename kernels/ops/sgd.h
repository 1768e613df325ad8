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

/// How many numbers of SgdStepArgs decay together or not at all.
inline constexpr std::int64_t kDecayBlock = 16;

/// sgd_step: one such step of `numel` parameters, with the learning rate of `inputs`.
struct SgdStepArgs {
  std::int64_t numel = 0;
  SgdRule rule;
  const StepInputs* inputs = nullptr;
  const float* gradient = nullptr;
  float* parameter = nullptr;
  float* momentum = nullptr;
  /// [numel / kDecayBlock, rounded up]: whether those numbers decay, 0 or 1; null: all do.
  const std::uint8_t* decays = nullptr;
};

}  // namespace bsq
