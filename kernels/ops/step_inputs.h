// The inputs of one step of a captured sequence.
#pragma once

#include "kernels/types.h"

namespace bsq {

/// take_step_inputs: *inputs = steps[*taken], and *taken counts one up. It stands at the head of a captured step, which
/// so takes the inputs of one replay after the other from those that have been uploaded together.
struct TakeStepInputsArgs {
  const StepInputs* steps = nullptr;
  std::int64_t* taken = nullptr;
  StepInputs* inputs = nullptr;
};

}  // namespace bsq
