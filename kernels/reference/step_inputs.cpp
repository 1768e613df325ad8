// The oracle: the inputs of the next step. Contract: backend.h.
#include "kernels/reference/reference_backend.h"

namespace bsq {

void ReferenceBackend::take_step_inputs(const StepInputs* steps, std::int64_t* taken, StepInputs* inputs) {
  *inputs = steps[(*taken)++];
}

}  // namespace bsq
