// The inputs of the next step.
#include "kernels/cpu/cpu_backend.h"

namespace bsq {

void CpuBackend::take_step_inputs(const TakeStepInputsArgs& args) {
  *args.inputs = args.steps[(*args.taken)++];
}

}  // namespace bsq
