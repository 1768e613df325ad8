// SGD with momentum on plain parameters.
#include "kernels/cpu/simd/parallel_lanes.h"
#include "kernels/cpu/simd/variant.h"

namespace bsq::BSQ_SIMD_NAMESPACE {

void sgd_step(const SgdStepArgs& args) {
  const float learning_rate = args.inputs->learning_rate;
  parallel_lanes(args.numel, [=]<bool Full>(std::int64_t at, int count) {
    const FloatLanes value = load_lanes<Full>(args.parameter + at, count);
    const FloatLanes speed = args.rule.momentum * load_lanes<Full>(args.momentum + at, count) +
                             load_lanes<Full>(args.gradient + at, count) + args.rule.weight_decay * value;
    store_lanes<Full>(args.momentum + at, speed, count);
    store_lanes<Full>(args.parameter + at, value - learning_rate * speed, count);
  });
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
