// SGD with momentum on plain parameters.
#include "kernels/cpu/simd/parallel_lanes.h"
#include "kernels/cpu/simd/variant.h"
#include "kernels/cpu/simd/weight_chunks.h"

namespace bsq::BSQ_SIMD_NAMESPACE {

static_assert(kMarkBlock == kLanes && kFlatChunk % kLanes == 0);  // so that lanes have one mark

namespace {

template <bool Nesterov>
void step(const SgdStepArgs& args) {
  const float learning_rate = args.inputs->learning_rate;
  parallel_lanes(args.numel, [=]<bool Full>(std::int64_t at, int count) {
    const std::uint8_t mark = args.marks == nullptr ? kDecays : args.marks[at / kMarkBlock];
    const float decay = decay_of(args.rule, (mark & kDecays) != 0);
    const FloatLanes value = load_lanes<Full>(args.parameter + at, count);
    const FloatLanes gradient = load_lanes<Full>(args.gradient + at, count);
    const FloatLanes speed =
        args.rule.momentum * load_lanes<Full>(args.momentum + at, count) + gradient + decay * value;
    store_lanes<Full>(args.momentum + at, speed, count);
    const FloatLanes move = Nesterov ? gradient + decay * value + args.rule.momentum * speed : speed;
    const FloatLanes next = value - learning_rate * move;
    store_lanes<Full>(args.parameter + at, (mark & kHalves) != 0 ? at_least(next, 0.5F * value) : next, count);
  });
}

}  // namespace

void sgd_step(const SgdStepArgs& args) {
  dispatch_momentum(args.rule, [&]<bool Nesterov>() { step<Nesterov>(args); });
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
