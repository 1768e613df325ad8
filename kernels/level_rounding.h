// From numbers to levels (METHOD 16): the arithmetic that every program of a deployed network has in common. Host and
// device; on the host to be compiled without contraction to fused multiply-adds.
#pragma once

#include "kernels/host_device.h"

#include <cstdint>

namespace bsq {

/// zero + rint(number), within 0 .. top, half to even: beyond 2^23 float32 has no fractions, and an addition rounds
/// them away. In plain arithmetic, so that compilers do many at a time.
class LevelRounding {
 public:
  BSQ_HOST_DEVICE LevelRounding(int zero, int top)
      : least_(static_cast<float>(-zero)), most_(static_cast<float>(top - zero)), zero_(zero) {}

  BSQ_HOST_DEVICE std::uint8_t operator()(float number) const {
    constexpr float kNoFractions = 12582912.0F;  // 1.5 2^23
    const float above = number < least_ ? least_ : number;
    const float within = above > most_ ? most_ : above;
    return static_cast<std::uint8_t>(static_cast<int>((within + kNoFractions) - kNoFractions) + zero_);
  }

 private:
  float least_;
  float most_;
  int zero_;
};

/// The number of an addition, A q_0 + (B q_1 + C). Both products are exact in double, so that it is the same with fused
/// multiply-adds.
BSQ_HOST_DEVICE inline float added_number(double a, std::uint8_t x0, double b, std::uint8_t x1, double c) {
  const auto second = static_cast<float>(b * static_cast<double>(x1) + c);
  return static_cast<float>(a * static_cast<double>(x0) + static_cast<double>(second));
}

}  // namespace bsq
