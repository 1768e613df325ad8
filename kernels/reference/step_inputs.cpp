// The oracle: the inputs of the next step. Contract: kernels/ops/step_inputs.h.
#include "kernels/reference/reference_backend.h"

namespace bsq {

void ReferenceBackend::take_step_inputs(const TakeStepInputsArgs& args) {
  *args.inputs = args.steps[(*args.taken)++];
}

}  // namespace bsq
