// Weights whose bit planes and masks are gates that harden by and by, all tensors in one call (METHOD 14).
#pragma once

#include "kernels/ops/sgd.h"

namespace bsq {

/// Which gates are steps, [x > 0], and which still sigmoids of temperature * x.
enum class CsqHardness : std::uint8_t { none, masks, all };

/// What StepInputs::method holds for these operations.
struct CsqNumbers {
  float temperature = 1;
  CsqHardness hardness = CsqHardness::none;
  float strength = 0;  // lambda of the budget
  float target = 0;    // of the budget, in bits

  constexpr std::array<float, 4> to_method() const {
    return {temperature, static_cast<float>(hardness), strength, target};
  }
  /// For code that runs where the inputs lie.
  static constexpr CsqNumbers from(const std::array<float, 4>& method) {
    const float* numbers = method.data();
    return {numbers[0], static_cast<CsqHardness>(static_cast<int>(numbers[1])), numbers[2], numbers[3]};
  }
};

/// One tensor. Its planes lie as those of PlaneTensor, and so does their momentum; mask b is at first_mask + b.
/// csq_scratch_bytes: for csq_step.
struct CsqTensor {
  std::int64_t numel = 0;
  std::int64_t plane_offset = 0;   // floats
  std::int64_t weight_offset = 0;  // floats, in the effective weights and in d_weights
  std::int32_t bits = 0;           // N, 1..8
  std::int32_t first_mask = 0;
  float share = 0;          // what a mask of this tensor that counts adds to the bits of the budget
  float pull = 0;           // what a mask of this tensor weighs in the loss of the budget
  bool masked = false;      // else every M_b is 1, and no mask is trained
  DecayedParts decay = {};  // masks decay as planes do
};

/// The masks together. A mask counts if m >= 0, one that is hard if m > 0: if M >= 1/2.
struct CsqBudget {
  double bits = 0;  // sum of share over the masks that count
  double loss = 0;  // (bits - target) sum of pull M, without lambda; the first factor is not differentiated
};

/// weights_from_csq: weights = s sum_b c_b M_b (P_b - Q_b), P_b = sigmoid(t p_b), Q_b = sigmoid(t n_b), M_b =
/// sigmoid(t m_b), c_b = 2^(N-1-b) / (2^N - 1); a gate that is hard is [x > 0]. No rounding and no clamp. *budget is
/// that of the masks.
struct CsqForwardArgs {
  DeviceTable<CsqTensor> tensors;
  const StepInputs* inputs = nullptr;
  const float* planes = nullptr;
  const float* scales = nullptr;  // [tensors]
  const float* masks = nullptr;
  float* weights = nullptr;
  CsqBudget* budget = nullptr;
};

/// csq_step: with S_b = sum((P_b - Q_b) dW):
///   g_p = s c_b M_b t P_b (1 - P_b) dW, g_n = -s c_b M_b t Q_b (1 - Q_b) dW, g_s = sum_b c_b M_b S_b,
///   g_m = (s c_b S_b + lambda (bits - target) pull) t M_b (1 - M_b),
/// then `rule` with what `decay` leaves of it, without any clamp. Hard masks do not move, nor does their momentum.
/// `budget` is what weights_from_csq has left of the same masks; metrics[metrics_slot].penalty becomes its loss. Planes
/// that are hard cannot be stepped.
struct CsqStepArgs {
  DeviceTable<CsqTensor> tensors;
  SgdRule rule;
  const StepInputs* inputs = nullptr;
  const float* d_weights = nullptr;
  const CsqBudget* budget = nullptr;
  float* planes = nullptr;
  float* plane_momentum = nullptr;
  float* scales = nullptr;
  float* scale_momentum = nullptr;
  float* masks = nullptr;
  float* mask_momentum = nullptr;
  StepMetrics* metrics = nullptr;  // may be null
  void* scratch = nullptr;
};

}  // namespace bsq
