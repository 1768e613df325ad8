// SGD with momentum on plain parameters.
#include "kernels/cpu/simd/parallel_lanes.h"
#include "kernels/cpu/simd/variant.h"

namespace bsq::BSQ_SIMD_NAMESPACE {

void sgd_step(std::int64_t numel, const SgdRule& rule, float learning_rate, const float* gradient, float* parameter,
              float* momentum) {
  parallel_lanes(numel, [=]<bool Full>(std::int64_t at, int count) {
    const FloatLanes value = load_lanes<Full>(parameter + at, count);
    const FloatLanes speed = rule.momentum * load_lanes<Full>(momentum + at, count) +
                             load_lanes<Full>(gradient + at, count) + rule.weight_decay * value;
    store_lanes<Full>(momentum + at, speed, count);
    store_lanes<Full>(parameter + at, value - learning_rate * speed, count);
  });
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
