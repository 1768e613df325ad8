// The oracle: SGD on plain parameters. Contract: kernels/ops/sgd.h.
#include "kernels/reference/reference_backend.h"
#include "kernels/reference/weights.h"

namespace bsq {

void ReferenceBackend::sgd_step(const SgdStepArgs& args) {
  const auto& [numel, rule, inputs, gradient, parameter, momentum, marks] = args;
  for (std::int64_t i = 0; i < numel; ++i) {
    const std::uint8_t mark = marks == nullptr ? kDecays : marks[i / kMarkBlock];
    const SgdRule own = rule_for(rule, (mark & kDecays) != 0);
    const double half = 0.5 * parameter[i];
    const double next = reference::sgd_updated(parameter[i], gradient[i], own, inputs->learning_rate, momentum[i]);
    parameter[i] = static_cast<float>((mark & kHalves) != 0 && next < half ? half : next);
  }
}

}  // namespace bsq
