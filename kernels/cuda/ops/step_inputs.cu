// The inputs of the next step, from those that have been uploaded together: no copy from the host per step.
#include "kernels/cuda/device/port.h"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {
namespace {

// grid 1, block 1
__global__ void take(const StepInputs* steps, std::int64_t* taken, StepInputs* inputs) {
  wait_for_previous();
  *inputs = steps[*taken];
  *taken += 1;
}

}  // namespace

void take_step_inputs(const TakeStepInputsArgs& args, const DeviceContext& on) {
  launch(take, dim3(1), dim3(1), 0, on.stream, args.steps, args.taken, args.inputs);
}

}  // namespace bsq::cuda
