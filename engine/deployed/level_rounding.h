// From a number, in units of a grid, to a level.
#pragma once

#include "engine/deployed/deployed_network.h"

namespace bsq {

/// zero + rint(number), within 0 .. top, half to even: beyond 2^23 float32 has no fractions, and an addition rounds
/// them away. In plain arithmetic, so that compilers do many at a time.
class LevelRounding {
 public:
  explicit LevelRounding(const LevelGrid& grid)
      : least_(static_cast<float>(-grid.zero)), most_(static_cast<float>(grid.top - grid.zero)), zero_(grid.zero) {}

  std::uint8_t operator()(float number) const {
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

}  // namespace bsq
