// The inputs of one step of a captured sequence.
#pragma once

#include "kernels/types.h"

namespace bsq {

/// take_step_inputs: *inputs = steps[*taken], and *taken grows by one. It is the first operation of a captured step,
/// whose replays so take one after the other of the inputs that have been uploaded together.
struct TakeStepInputsArgs {
  const StepInputs* steps = nullptr;
  std::int64_t* taken = nullptr;
  StepInputs* inputs = nullptr;
};

}  // namespace bsq
