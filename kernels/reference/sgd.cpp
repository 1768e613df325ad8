// The oracle: SGD on plain parameters. Contract: kernels/ops/sgd.h.
#include "kernels/reference/reference_backend.h"
#include "kernels/reference/weights.h"

namespace bsq {

void ReferenceBackend::sgd_step(const SgdStepArgs& args) {
  const auto& [numel, rule, inputs, gradient, parameter, momentum, decays] = args;
  for (std::int64_t i = 0; i < numel; ++i) {
    const SgdRule own = rule_for(rule, decays == nullptr || decays[i / kDecayBlock] != 0);
    parameter[i] =
        static_cast<float>(reference::sgd_updated(parameter[i], gradient[i], own, inputs->learning_rate, momentum[i]));
  }
}

}  // namespace bsq
