// SGD with momentum on plain parameters.
#pragma once

#include "kernels/types.h"

namespace bsq {

/// SGD with momentum as in PyTorch: v = momentum v + g + weight_decay x; x -= learning_rate v.
struct SgdRule {
  float momentum = 0.9F;
  float weight_decay = 1e-4F;
};

/// sgd_step: one such step of `numel` parameters, with the learning rate of `inputs`.
struct SgdStepArgs {
  std::int64_t numel = 0;
  SgdRule rule;
  const StepInputs* inputs = nullptr;
  const float* gradient = nullptr;
  float* parameter = nullptr;
  float* momentum = nullptr;
};

}  // namespace bsq
