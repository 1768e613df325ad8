// Loops over all levels of a picture, for the widest registers that the processor has; the numbers are the same in all.
#pragma once

#include "engine/deployed/deployed_network.h"
#include "kernels/level_rounding.h"

#include <cstddef>
#include <cstdint>

namespace bsq {

/// levels of sums: rint(float(bias + sum) multiplier), each with numbers of its own, since loops over the channels of a
/// pixel are too short for wide registers.
struct SumsToLevels {
  const std::int32_t* sums;
  const std::int32_t* bias;
  const float* multiplier;
  std::size_t count;
  LevelRounding rounding;
  std::uint8_t* levels;
};
void round_sums(const SumsToLevels& loop);

/// levels of an addition (LevelSum).
struct AddedLevels {
  LevelSum sum;
  const std::uint8_t* x0;
  const std::uint8_t* x1;
  std::size_t count;
  LevelRounding rounding;
  std::uint8_t* levels;
};
void add_levels(const AddedLevels& loop);

/// sums[o] = sum_i patch[i] filters[o][i], filters [outputs, length].
struct PatchProducts {
  const std::int16_t* patch;
  const std::int16_t* filters;
  std::size_t length;
  std::size_t outputs;
  std::int32_t* sums;
};
void multiply_patch(const PatchProducts& loop);

}  // namespace bsq
