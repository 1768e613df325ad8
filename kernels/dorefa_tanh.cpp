// Compiled without fused operations (kernels/dorefa_tanh.h).
#include "kernels/dorefa_tanh.h"

#include <algorithm>
#include <cmath>

namespace bsq {

float dorefa_tanh(float x) {
  const float bounded = x > kTanhLimit ? kTanhLimit : x < -kTanhLimit ? -kTanhLimit : x;  // a NaN stays one
  const float square = bounded * bounded;
  float numerator = 0, denominator = 0;
  for (const float coefficient : kTanhNumerator) numerator = numerator * square + coefficient;
  for (const float coefficient : kTanhDenominator) denominator = denominator * square + coefficient;
  const float h = bounded * numerator / denominator;
  return h > 1 ? 1.0F : h < -1 ? -1.0F : h;
}

int dorefa_level(float ratio, int bits) {
  const int most = (1 << bits) - 1;
  return 2 * static_cast<int>(std::nearbyint((ratio * 0.5F + 0.5F) * static_cast<float>(most))) - most;
}

}  // namespace bsq
