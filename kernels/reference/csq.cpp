// The oracle: weights whose planes and masks are gates. Definitions: METHOD 14; contracts: kernels/ops/csq.h.
#include "kernels/reference/reference_backend.h"
#include "kernels/reference/weights.h"

#include <array>
#include <cmath>

namespace bsq {
namespace {

using reference::plane_weight;
using reference::sgd_updated;

struct Gate {
  double value = 1;
  double slope = 0;  // by x
  bool counts = true;

  Gate() = default;
  Gate(double x, double temperature, bool is_hard) {
    if (is_hard) {
      counts = x > 0;
      value = counts ? 1 : 0;
      return;
    }
    counts = x >= 0;
    const double small = std::exp(-std::abs(temperature * x));  // never overflows
    value = (counts ? 1 : small) / (1 + small);
    slope = temperature * small / ((1 + small) * (1 + small));
  }
};

/// The masks of a tensor.
std::array<Gate, kMaxBits> gates_of(const CsqTensor& tensor, const float* masks, const CsqNumbers& numbers) {
  std::array<Gate, kMaxBits> gates;
  if (!tensor.masked) return gates;
  for (int b = 0; b < tensor.bits; ++b)
    gates[static_cast<std::size_t>(b)] =
        Gate(masks[tensor.first_mask + b], numbers.temperature, numbers.hardness != CsqHardness::none);
  return gates;
}

CsqBudget budget_of(const DeviceTable<CsqTensor>& tensors, const float* masks, const CsqNumbers& numbers) {
  CsqBudget budget;
  double pulled = 0;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const CsqTensor& tensor = tensors.device[t];
    const std::array<Gate, kMaxBits> gates = gates_of(tensor, masks, numbers);
    for (int b = 0; b < tensor.bits; ++b) {
      const Gate& gate = gates[static_cast<std::size_t>(b)];
      budget.bits += gate.counts ? double{tensor.share} : 0;
      pulled += tensor.pull * gate.value;
    }
  }
  budget.loss = (budget.bits - double{numbers.target}) * pulled;
  return budget;
}

/// What a step of one tensor needs besides its numbers.
struct Stepped {
  const CsqStepArgs& args;
  CsqNumbers numbers;
  double learning_rate;
};

/// Steps the planes of bit b and returns S_b.
double step_planes(const Stepped& step, const CsqTensor& tensor, int b, double factor) {
  const CsqStepArgs& args = step.args;
  const SgdRule rule = rule_for(args.rule, tensor.decay.weights);
  double sum = 0;
  for (std::int64_t i = 0; i < tensor.numel; ++i) {
    const double d_weight = args.d_weights[tensor.weight_offset + i];
    const std::int64_t p_at = tensor.plane_offset + b * tensor.numel + i;
    const std::int64_t n_at = p_at + tensor.bits * tensor.numel;
    const Gate p(args.planes[p_at], step.numbers.temperature, false);
    const Gate n(args.planes[n_at], step.numbers.temperature, false);
    sum += (p.value - n.value) * d_weight;
    const auto move = [&](std::int64_t at, double gradient) {
      args.planes[at] =
          static_cast<float>(sgd_updated(args.planes[at], gradient, rule, step.learning_rate, args.plane_momentum[at]));
    };
    move(p_at, factor * p.slope * d_weight);
    move(n_at, -factor * n.slope * d_weight);
  }
  return sum;
}

void step_tensor(const Stepped& step, std::size_t t) {
  const CsqStepArgs& args = step.args;
  const CsqTensor& tensor = args.tensors.device[t];
  const std::array<Gate, kMaxBits> gates = gates_of(tensor, args.masks, step.numbers);
  const double scale = args.scales[t];
  const double excess = step.numbers.strength * (args.budget->bits - double{step.numbers.target}) * tensor.pull;
  double d_scale = 0;
  for (int b = 0; b < tensor.bits; ++b) {
    const Gate& gate = gates[static_cast<std::size_t>(b)];
    const double weight = plane_weight(tensor.bits, b);
    const double sum = step_planes(step, tensor, b, scale * weight * gate.value);
    d_scale += weight * gate.value * sum;
    if (!tensor.masked || step.numbers.hardness != CsqHardness::none) continue;
    float& mask = args.masks[tensor.first_mask + b];
    mask = static_cast<float>(sgd_updated(mask, (scale * weight * sum + excess) * gate.slope,
                                          rule_for(args.rule, tensor.decay.weights), step.learning_rate,
                                          args.mask_momentum[tensor.first_mask + b]));
  }
  args.scales[t] = static_cast<float>(
      sgd_updated(scale, d_scale, rule_for(args.rule, tensor.decay.scale), step.learning_rate, args.scale_momentum[t]));
}

}  // namespace

std::size_t ReferenceBackend::csq_scratch_bytes(const DeviceTable<CsqTensor>& /*of*/) {
  return 0;
}

void ReferenceBackend::weights_from_csq(const CsqForwardArgs& args) {
  const auto& [tensors, inputs, planes, scales, masks, weights, budget] = args;
  const CsqNumbers numbers = CsqNumbers::from(inputs->method);
  const bool is_hard = numbers.hardness == CsqHardness::all;
  for (std::size_t t = 0; t < tensors.host.size(); ++t) {
    const CsqTensor& tensor = tensors.device[t];
    const std::array<Gate, kMaxBits> gates = gates_of(tensor, masks, numbers);
    for (std::int64_t i = 0; i < tensor.numel; ++i) {
      double sum = 0;
      for (int b = 0; b < tensor.bits; ++b) {
        const float* p = planes + tensor.plane_offset + b * tensor.numel + i;
        const double difference = Gate(*p, numbers.temperature, is_hard).value -
                                  Gate(p[tensor.bits * tensor.numel], numbers.temperature, is_hard).value;
        sum += plane_weight(tensor.bits, b) * gates[static_cast<std::size_t>(b)].value * difference;
      }
      weights[tensor.weight_offset + i] = static_cast<float>(scales[t] * sum);
    }
  }
  *budget = budget_of(tensors, masks, numbers);
}

void ReferenceBackend::csq_step(const CsqStepArgs& args) {
  const Stepped step{args, CsqNumbers::from(args.inputs->method), args.inputs->learning_rate};
  for (std::size_t t = 0; t < args.tensors.host.size(); ++t) step_tensor(step, t);
  if (args.metrics != nullptr) args.metrics[args.inputs->metrics_slot].penalty = args.budget->loss;
}

}  // namespace bsq
