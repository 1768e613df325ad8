// SGD with momentum on plain parameters (kernels/ops/sgd.h).
//
// Flat arrays of numel floats. Reads 12 and writes 8 bytes per element, with 16-byte accesses; the last numel % 4
// elements go one by one.
#include "kernels/cuda/device/port.h"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {
namespace {

// Nothing is shared between threads: any whole number of warps does, and 256 fill an SM of every architecture.
constexpr int kThreads = 256;
constexpr int kLanes = 4;                 // floats per access
static_assert(kMarkBlock % kLanes == 0);  // so that they have one mark

__device__ void update(const SgdRule& rule, bool halves, float learning_rate, float gradient, float& parameter,
                       float& momentum) {
  momentum = rule.momentum * momentum + gradient + rule.weight_decay * parameter;
  const float move = rule.nesterov ? gradient + rule.weight_decay * parameter + rule.momentum * momentum : momentum;
  const float half = 0.5F * parameter;
  parameter -= learning_rate * move;
  if (halves && parameter < half) parameter = half;
}

// grid ceil(numel / (4 kThreads)), block kThreads, one thread per 4 elements
__global__ void __launch_bounds__(kThreads)
    sgd_step_kernel(std::int64_t numel, SgdRule rule, const StepInputs* inputs, const float* gradient, float* parameter,
                    float* momentum, const std::uint8_t* marks) {
  wait_for_previous();
  const std::int64_t first = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kLanes;
  const float learning_rate = inputs->learning_rate;
  const std::uint8_t mark = marks != nullptr && first < numel ? marks[first / kMarkBlock] : kDecays;
  rule = rule_for(rule, (mark & kDecays) != 0);
  const bool halves = (mark & kHalves) != 0;
  if (first + kLanes <= numel) {
    const float4 g = *reinterpret_cast<const float4*>(gradient + first);
    float4 x = *reinterpret_cast<const float4*>(parameter + first);
    float4 v = *reinterpret_cast<const float4*>(momentum + first);
    update(rule, halves, learning_rate, g.x, x.x, v.x);
    update(rule, halves, learning_rate, g.y, x.y, v.y);
    update(rule, halves, learning_rate, g.z, x.z, v.z);
    update(rule, halves, learning_rate, g.w, x.w, v.w);
    *reinterpret_cast<float4*>(parameter + first) = x;
    *reinterpret_cast<float4*>(momentum + first) = v;
    return;
  }
  for (std::int64_t i = first; i < numel; ++i)
    update(rule, halves, learning_rate, gradient[i], parameter[i], momentum[i]);
}

}  // namespace

void sgd_step(const SgdStepArgs& args, const DeviceContext& on) {
  if (args.numel == 0) return;  // a grid cannot be empty
  const std::int64_t per_block = std::int64_t{kThreads} * kLanes;
  const auto blocks = static_cast<unsigned>((args.numel + per_block - 1) / per_block);
  launch(sgd_step_kernel, blocks, kThreads, 0, on.stream, args.numel, args.rule, args.inputs, args.gradient,
         args.parameter, args.momentum, args.marks);
}

}  // namespace bsq::cuda
