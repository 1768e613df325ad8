// Cases of the operators on weights: all tensors of a network in one arena. See op_cases.h.
#pragma once

#include "kernels/ops/operations.h"

#include <array>
#include <cmath>
#include <string>
#include <vector>

namespace bsq::cases {

/// Sizes of the tensors of ResNet-20 that are quantized, in the order of the network: 268,346 elements.
inline std::vector<std::int64_t> resnet20_numels() {
  return {432,  2304, 2304,  2304,  2304,  2304,  2304,  4608,  9216, 9216, 9216,
          9216, 9216, 18432, 36864, 36864, 36864, 36864, 36864, 640,  10};
}

inline std::vector<std::int32_t> cycle_bits(std::size_t count, std::vector<std::int32_t> pattern) {
  std::vector<std::int32_t> bits(count);
  for (std::size_t i = 0; i < count; ++i) bits[i] = pattern[i % pattern.size()];
  return bits;
}

/// Of tensor t, if `some` do not decay: neither part, one of them, the other, both.
inline DecayedParts decayed_parts(bool some, std::size_t t) {
  if (!some) return {};
  return {.weights = t % 2 == 1, .scale = t % 4 > 1};
}

/// `alignment`: of every tensor in the arenas, in floats: 1 packs them, 16 leaves gaps, which nobody may touch.
struct PlaneCase {
  std::string name;
  int layers = 0;
  std::vector<std::int64_t> numels;
  std::vector<std::int32_t> bits;
  std::int64_t alignment = 1;
  float alpha = 5e-3F;
  SgdRule rule = {};
  WeightStorage storage = WeightStorage::values;
  bool some_without_decay = false;

  std::int64_t aligned(std::int64_t count) const { return (count + alignment - 1) / alignment * alignment; }
  std::vector<PlaneTensor> tensors() const {
    double total = 0;
    for (const std::int64_t numel : numels) total += static_cast<double>(numel);
    std::vector<PlaneTensor> table;
    PlaneTensor next;
    for (std::size_t t = 0; t < numels.size(); ++t) {
      next.numel = numels[t];
      next.bits = bits[t];
      next.storage = storage;
      next.decay = decayed_parts(some_without_decay, t);
      next.penalty_weight = static_cast<float>(static_cast<double>(numels[t]) * bits[t] / total);
      table.push_back(next);
      next.plane_offset += aligned(2 * bits[t] * numels[t]);
      next.weight_offset += aligned(numels[t]);
      next.first_plane += bits[t];
    }
    return table;
  }
  std::int64_t plane_arena_size() const {
    const PlaneTensor last = tensors().back();
    return last.plane_offset + aligned(2 * last.bits * last.numel);
  }
  std::int64_t weight_arena_size() const {
    const PlaneTensor last = tensors().back();
    return last.weight_offset + aligned(last.numel);
  }
  int plane_count() const {
    const PlaneTensor last = tensors().back();
    return last.first_plane + last.bits;
  }
};

inline std::vector<PlaneCase> plane_cases() {
  const std::vector<std::int64_t> resnet20 = resnet20_numels();
  return {{"ResNet-20, 8 bits", 1, resnet20, cycle_bits(resnet20.size(), {8}), 16},
          {"ResNet-20, mixed bits", 0, resnet20, cycle_bits(resnet20.size(), {8, 5, 3, 4, 2, 1, 6, 7}), 1},
          {"1 to 8 bits, tails", 0, {1, 3, 15, 16, 17, 31, 33, 1027}, {1, 2, 3, 4, 5, 6, 7, 8}, 1},
          {"8 to 1 bits, tails with gaps", 0, {1027, 33, 31, 17, 16, 15, 3, 1}, {8, 7, 6, 5, 4, 3, 2, 1}, 16},
          {"one element", 0, {1}, {8}, 1},
          {"no penalty, no momentum", 0, {100, 7}, {4, 3}, 1, 0, {0, 0}},
          {"strong penalty", 0, {513, 10}, {8, 8}, 1, 0.5F, {0.9F, 0}},
          {"Nesterov", 0, {513, 10, 3}, {8, 1, 4}, 1, 5e-3F, {0.9F, 0.01F, true}},
          {"ResNet-20, 8 bits, integers",
           0,
           resnet20,
           cycle_bits(resnet20.size(), {8}),
           16,
           5e-3F,
           {},
           WeightStorage::integers},
          {"ResNet-20, 8 bits, bf16",
           0,
           resnet20,
           cycle_bits(resnet20.size(), {8}),
           16,
           5e-3F,
           {},
           WeightStorage::integers_bf16},
          {"1 to 8 bits, tails, bf16",
           0,
           {1, 3, 15, 16, 17, 31, 33, 1027},
           {1, 2, 3, 4, 5, 6, 7, 8},
           1,
           5e-3F,
           {},
           WeightStorage::integers_bf16},
          {"some without decay, Nesterov",
           0,
           {15, 16, 17, 33, 513},
           {3, 8, 1, 4, 5},
           1,
           5e-3F,
           {0.9F, 0.2F, true},
           WeightStorage::integers,
           true}};
}

struct FixedCase {
  std::string name;
  int layers = 0;
  std::vector<std::int64_t> numels;
  std::vector<std::int32_t> bits;
  std::int64_t alignment = 1;
  SgdRule rule = {};
  WeightStorage storage = WeightStorage::values;
  bool some_without_decay = false;

  std::int64_t aligned(std::int64_t count) const { return (count + alignment - 1) / alignment * alignment; }
  std::vector<FixedTensor> tensors() const {
    std::vector<FixedTensor> table;
    std::int64_t offset = 0;
    for (std::size_t t = 0; t < numels.size(); ++t) {
      table.push_back({numels[t], offset, bits[t], storage, decayed_parts(some_without_decay, t)});
      offset += aligned(numels[t]);
    }
    return table;
  }
  std::int64_t arena_size() const {
    const FixedTensor last = tensors().back();
    return last.weight_offset + aligned(last.numel);
  }
};

inline std::vector<FixedCase> fixed_cases() {
  const std::vector<std::int64_t> resnet20 = resnet20_numels();
  return {{"ResNet-20, mixed bits", 1, resnet20, cycle_bits(resnet20.size(), {8, 5, 3, 4, 2, 1, 0, 6, 7}), 16},
          {"0 to 8 bits, tails", 0, {5, 1, 3, 15, 16, 17, 31, 33, 1027}, {0, 1, 2, 3, 4, 5, 6, 7, 8}, 1},
          {"one element", 0, {1}, {3}, 1},
          {"all zero", 0, {17, 3}, {0, 0}, 16},
          {"plain descent", 0, {100, 7}, {4, 2}, 1, {0, 0}},
          {"Nesterov", 0, {513, 10, 3}, {8, 1, 4}, 1, {0.9F, 0.01F, true}},
          {"ResNet-20, mixed bits, integers",
           0,
           resnet20,
           cycle_bits(resnet20.size(), {8, 5, 3, 4, 2, 1, 0, 6, 7}),
           16,
           {},
           WeightStorage::integers},
          {"0 to 8 bits, tails, bf16",
           0,
           {5, 1, 3, 15, 16, 17, 31, 33, 1027},
           {0, 1, 2, 3, 4, 5, 6, 7, 8},
           1,
           {},
           WeightStorage::integers_bf16},
          {"some without decay, Nesterov",
           0,
           {15, 16, 17, 33, 513},
           {3, 8, 1, 4, 5},
           1,
           {0.9F, 0.2F, true},
           WeightStorage::integers,
           true}};
}

/// Numbers and their moving averages.
struct AverageCase {
  std::string name;
  int layers = 0;
  std::vector<std::int64_t> numels;
  std::int64_t alignment = 1;
  float weight = 1e-3F;

  std::int64_t aligned(std::int64_t count) const { return (count + alignment - 1) / alignment * alignment; }
  /// `values`: an arena of the same layout as that of the averages, in device memory.
  std::vector<AveragedTensor> tensors(const float* values) const {
    std::vector<AveragedTensor> table;
    std::int64_t offset = 0;
    for (const std::int64_t numel : numels) {
      table.push_back({numel, offset, values + offset});
      offset += aligned(numel);
    }
    return table;
  }
  std::int64_t arena_size() const {
    std::int64_t size = 0;
    for (const std::int64_t numel : numels) size += aligned(numel);
    return size;
  }
};

inline std::vector<AverageCase> average_cases() {
  return {{"ResNet-20", 1, resnet20_numels(), 16},
          {"tails", 0, {1, 3, 15, 16, 17, 31, 33, 1027, 2049}, 16, 0.25F},
          {"the numbers themselves", 0, {100, 7}, 16, 1},
          {"one number", 0, {1}, 16, 0.5F}};
}

/// bits: N of every tensor. The masks of every third tensor are not trained if `some_fixed`.
struct CsqCase {
  std::string name;
  int layers = 0;
  std::vector<std::int64_t> numels;
  std::vector<std::int32_t> bits;
  std::int64_t alignment = 1;
  CsqNumbers numbers = {.temperature = 4, .strength = 0.01F, .target = 3};
  SgdRule rule = {};
  bool some_fixed = false;

  std::int64_t aligned(std::int64_t count) const { return (count + alignment - 1) / alignment * alignment; }
  std::vector<CsqTensor> tensors() const {
    double total = 0;
    for (const std::int64_t numel : numels) total += static_cast<double>(numel);
    std::vector<CsqTensor> table;
    CsqTensor next;
    for (std::size_t t = 0; t < numels.size(); ++t) {
      next.numel = numels[t];
      next.bits = bits[t];
      next.masked = !some_fixed || t % 3 != 2;
      next.share = static_cast<float>(static_cast<double>(numels[t]) / total);
      next.pull = next.masked ? next.share * static_cast<float>(numels.size()) / static_cast<float>(bits[t]) : 0.0F;
      table.push_back(next);
      next.plane_offset += aligned(2 * bits[t] * numels[t]);
      next.weight_offset += aligned(numels[t]);
      next.first_mask += bits[t];
    }
    return table;
  }
  std::int64_t plane_arena_size() const {
    const CsqTensor last = tensors().back();
    return last.plane_offset + aligned(2 * last.bits * last.numel);
  }
  std::int64_t weight_arena_size() const {
    const CsqTensor last = tensors().back();
    return last.weight_offset + aligned(last.numel);
  }
  int mask_count() const {
    const CsqTensor last = tensors().back();
    return last.first_mask + last.bits;
  }
};

inline std::vector<CsqCase> csq_cases() {
  using enum CsqHardness;
  const std::vector<std::int64_t> resnet20 = resnet20_numels();
  const std::vector<std::int32_t> eight = cycle_bits(resnet20.size(), {8});
  const std::vector<std::int64_t> tails = {1, 3, 15, 16, 17, 31, 33, 1027};
  const std::vector<std::int32_t> widths = {1, 2, 3, 4, 5, 6, 7, 8};
  return {{"ResNet-20, 8 bits", 1, resnet20, eight, 16},
          {"1 to 8 bits, tails, some fixed", 0, tails, widths, 1, {1, none, 0.5F, 2}, {}, true},
          {"1 to 8 bits, tails with gaps, hard masks", 0, tails, widths, 16, {200, masks, 0.01F, 2}},
          {"temperatures of hundreds", 0, {513, 10}, {8, 6}, 1, {300, none, 0.01F, 3}},
          {"one element", 0, {1}, {8}, 1},
          {"plain descent", 0, {100, 7}, {4, 3}, 1, {2, none, 0, 3}, {0, 0}}};
}

struct SgdCase {
  std::string name;
  int layers = 0;
  std::int64_t numel = 0;
  SgdRule rule = {};
  bool marked = false;  // one block after the other: as without marks, without decay, halving at most

  std::vector<std::uint8_t> marks() const {
    constexpr std::array<std::uint8_t, 3> kinds = {kDecays, 0, kHalves};
    std::vector<std::uint8_t> blocks;
    for (std::int64_t i = 0; marked && i < numel; i += kMarkBlock)
      blocks.push_back(kinds[static_cast<std::size_t>(i / kMarkBlock % 3)]);
    return blocks;
  }
};

inline std::vector<SgdCase> sgd_cases() {
  return {{"ResNet-20", 1, 272474, {}},
          {"1", 0, 1, {}},
          {"15", 0, 15, {}},
          {"16", 0, 16, {}},
          {"17", 0, 17, {}},
          {"1027", 0, 1027, {}},
          {"plain descent", 0, 37, {0, 0}},
          {"no decay", 0, 37, {0.9F, 0}},
          {"Nesterov", 0, 1027, {0.9F, 0.01F, true}},
          {"marked", 0, 1027, {0.9F, 0.2F}, true},
          {"marked, Nesterov", 0, 47, {0.9F, 0.2F, true}, true}};
}

/// Gradients of tensors of which every second, if `some_integers`, is of weights stored as integers.
struct ClipCase {
  std::string name;
  int layers = 0;
  std::vector<std::int64_t> numels;
  std::int64_t alignment = 1;
  float max_norm = 1;
  bool some_integers = false;

  /// `units`: one per tensor, in device memory.
  std::vector<GradientTensor> tensors(const float* units) const {
    std::vector<GradientTensor> table;
    std::int64_t offset = 0;
    for (std::size_t t = 0; t < numels.size(); ++t) {
      table.push_back({numels[t], offset, some_integers && t % 2 == 1 ? units + t : nullptr});
      offset += aligned(numels[t]);
    }
    return table;
  }
  std::int64_t aligned(std::int64_t count) const { return (count + alignment - 1) / alignment * alignment; }
  std::int64_t arena_size() const {
    const GradientTensor last = tensors(nullptr).back();
    return last.weight_offset + aligned(last.numel);
  }
};

inline std::vector<ClipCase> clip_cases() {
  return {{"ResNet-20", 1, resnet20_numels(), 16},
          {"ResNet-20, some integers", 0, resnet20_numels(), 16, 0.5F, true},
          {"tails", 0, {1, 3, 15, 16, 17, 31, 33, 1027, 2049}, 1, 0.25F, true},
          {"tails with gaps", 0, {1027, 33, 31, 17, 16, 15, 3, 1}, 16, 2, true},
          {"short enough", 0, {100, 7}, 16, 1e6F},
          {"one number", 0, {1}, 1, 1e-3F}};
}

}  // namespace bsq::cases
