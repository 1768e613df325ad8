// Every operation rounds once: this file is compiled without contraction to fused multiply-adds.
#include "engine/deployed/level_loops.h"

namespace bsq {
namespace {

// Inlined into functions for several instruction sets. A byte may alias anything, so that it is said that none does.
__attribute__((always_inline)) inline void round_all(const SumsToLevels& loop) {
  const LevelRounding rounding = loop.rounding;
  const std::int32_t* __restrict sums = loop.sums;
  const std::int32_t* __restrict bias = loop.bias;
  const float* __restrict multiplier = loop.multiplier;
  std::uint8_t* __restrict levels = loop.levels;
  const std::size_t count = loop.count;
  for (std::size_t i = 0; i < count; ++i) levels[i] = rounding(static_cast<float>(bias[i] + sums[i]) * multiplier[i]);
}

__attribute__((always_inline)) inline void add_all(const AddedLevels& loop) {
  const LevelRounding rounding = loop.rounding;
  const double a = double{loop.sum.a}, b = double{loop.sum.b}, c = double{loop.sum.c};
  const std::uint8_t* __restrict x0 = loop.x0;
  const std::uint8_t* __restrict x1 = loop.x1;
  std::uint8_t* __restrict levels = loop.levels;
  const std::size_t count = loop.count;
  for (std::size_t i = 0; i < count; ++i) levels[i] = rounding(added_number(a, x0[i], b, x1[i], c));
}

__attribute__((always_inline)) inline void multiply_all(const PatchProducts& loop) {
  const std::int16_t* __restrict patch = loop.patch;
  const std::int16_t* __restrict filter = loop.filters;
  const std::size_t length = loop.length;
  for (std::size_t o = 0; o < loop.outputs; ++o, filter += length) {
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < length; ++i) sum += std::int32_t{patch[i]} * std::int32_t{filter[i]};
    loop.sums[o] = sum;
  }
}

#if defined(__x86_64__)
#define BSQ_WIDEST "avx512f,avx512bw,avx512vl,avx512dq"

__attribute__((target(BSQ_WIDEST))) void round_widest(const SumsToLevels& loop) {
  round_all(loop);
}
__attribute__((target(BSQ_WIDEST))) void add_widest(const AddedLevels& loop) {
  add_all(loop);
}
__attribute__((target(BSQ_WIDEST))) void multiply_widest(const PatchProducts& loop) {
  multiply_all(loop);
}
__attribute__((target("avx2"))) void multiply_wide(const PatchProducts& loop) {
  multiply_all(loop);
}
__attribute__((target("avx2"))) void round_wide(const SumsToLevels& loop) {
  round_all(loop);
}
__attribute__((target("avx2"))) void add_wide(const AddedLevels& loop) {
  add_all(loop);
}

bool has_widest() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512dq") != 0;
}
bool has_wide() {
  return __builtin_cpu_supports("avx2") != 0;
}
#endif

}  // namespace

void round_sums(const SumsToLevels& loop) {
#if defined(__x86_64__)
  if (has_widest()) return round_widest(loop);
  if (has_wide()) return round_wide(loop);
#endif
  round_all(loop);
}

void add_levels(const AddedLevels& loop) {
#if defined(__x86_64__)
  if (has_widest()) return add_widest(loop);
  if (has_wide()) return add_wide(loop);
#endif
  add_all(loop);
}

void multiply_patch(const PatchProducts& loop) {
#if defined(__x86_64__)
  if (has_widest()) return multiply_widest(loop);
  if (has_wide()) return multiply_wide(loop);
#endif
  multiply_all(loop);
}

}  // namespace bsq
