// The tanh of DoReFa's weights, which decides their levels: the same bits on every device and on the host.
//
// tanh x = x P(x^2) / Q(x^2) for |x| <= kTanhLimit, beyond it as there; Horner's rule in float32, where no product is
// fused with a sum, and at most 1. P and Q were fitted to 3e-10, float32 makes it 4e-7 (relative).
#pragma once

namespace bsq {

inline constexpr float kTanhLimit = 7.9F;
/// From the highest power down.
inline constexpr float kTanhNumerator[] = {-1.47946325e-11F, 3.38685631e-08F, 2.93195026e-05F,
                                           3.93210724e-03F,  1.37305334e-01F, 1.0F};
inline constexpr float kTanhDenominator[] = {1.38062285e-06F, 4.05192084e-04F, 2.74783317e-02F, 4.70638663e-01F, 1.0F};

/// For code of the host.
float dorefa_tanh(float x);
/// k of METHOD 19 from h / T.
int dorefa_level(float ratio, int bits);

}  // namespace bsq
