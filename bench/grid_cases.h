// Cases of weights whose grid is trained or made anew in every step: LSQ, DoReFa and MSQ (op_cases.h).
#pragma once

#include "bench/weight_cases.h"

#include <cmath>
#include <string>
#include <vector>

namespace bsq::cases {

/// bits: of k without its sign; 0: a tensor that is zero. The grid is -(2^bits - 1) .. 2^bits - 1, or one level longer
/// below. `rows`: of tensors that so many divide; others have one.
struct LsqCase {
  std::string name;
  int layers = 0;
  std::vector<std::int64_t> numels;
  std::vector<std::int32_t> bits;
  std::int64_t alignment = 1;
  SgdRule rule = {};
  WeightStorage storage = WeightStorage::values;
  bool symmetric = true;
  bool some_without_decay = false;
  bool measures = false;  // sensitivities
  std::int32_t rows = 1;

  std::int64_t aligned(std::int64_t count) const { return (count + alignment - 1) / alignment * alignment; }
  std::vector<LsqTensor> tensors() const {
    std::vector<LsqTensor> table;
    std::int64_t offset = 0;
    std::int32_t steps = 0;
    for (std::size_t t = 0; t < numels.size(); ++t) {
      const int high = (1 << bits[t]) - 1;
      const std::int32_t parts = numels[t] % rows == 0 ? rows : 1;
      const double of_row = static_cast<double>(numels[t]) / parts;
      table.push_back(
          {.numel = numels[t],
           .weight_offset = offset,
           .low = symmetric || high == 0 ? -high : -high - 1,
           .high = high,
           .grad_scale = high == 0 ? 0 : static_cast<float>(1 / std::sqrt(static_cast<double>(high) * of_row)),
           .storage = storage,
           .decays = decayed_parts(some_without_decay, t).weights,
           .rows = parts,
           .first_step = steps});
      offset += aligned(numels[t]);
      steps += parts;
    }
    return table;
  }
  /// Of all rows.
  std::int64_t steps() const {
    const LsqTensor last = tensors().back();
    return last.first_step + last.rows;
  }
  std::int64_t arena_size() const {
    const LsqTensor last = tensors().back();
    return last.weight_offset + aligned(last.numel);
  }
};

inline std::vector<LsqCase> lsq_cases() {
  using enum WeightStorage;
  const std::vector<std::int64_t> resnet20 = resnet20_numels();
  const std::vector<std::int32_t> mixed = cycle_bits(resnet20.size(), {8, 5, 3, 4, 2, 1, 0, 6, 7});
  const std::vector<std::int64_t> tails = {5, 1, 3, 15, 16, 17, 31, 33, 1027};
  const std::vector<std::int32_t> every_width = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  return {{"ResNet-20, mixed bits", 1, resnet20, mixed, 16},
          {"0 to 8 bits, tails", 0, tails, every_width, 1},
          {"one more level below, tails", 0, tails, {0, 1, 2, 3, 4, 5, 6, 7, 7}, 16, {}, values, false},
          {"one element", 0, {1}, {3}, 1},
          {"all zero", 0, {17, 3}, {0, 0}, 16},
          {"plain descent", 0, {100, 7}, {4, 2}, 1, {0, 0}},
          {"Nesterov", 0, {513, 10, 3}, {8, 1, 4}, 1, {0.9F, 0.01F, true}},
          {"0 to 8 bits, tails, integers", 0, tails, every_width, 16, {}, integers},
          {"0 to 8 bits, tails, bf16", 0, tails, every_width, 1, {}, integers_bf16},
          {"some without decay, Nesterov",
           0,
           {15, 16, 17, 33, 513},
           {3, 8, 1, 4, 5},
           1,
           {0.9F, 0.2F, true},
           integers,
           true,
           true},
          {"measured", 0, {4099, 16, 513, 5}, {3, 8, 2, 0}, 16, {}, values, true, false, true},
          {"measured, integers, Nesterov", 0, tails, every_width, 1, {0.9F, 0, true}, integers, true, false, true},
          {"16 rows, ResNet-20", 1, resnet20, mixed, 16, {}, integers, true, false, false, 16},
          {"rows and tails", 0, {9, 2051, 4101, 3, 27}, {4, 2, 8, 1, 0}, 1, {}, values, true, false, true, 3},
          {"rows of whole vectors, bf16, Nesterov",
           0,
           {4 * 2052, 16, 24},
           {3, 8, 2},
           16,
           {0.9F, 0.01F, true},
           integers_bf16,
           true,
           true,
           true,
           4}};
}

/// bits: sign included, 1 to 8.
struct DorefaCase {
  std::string name;
  int layers = 0;
  std::vector<std::int64_t> numels;
  std::vector<std::int32_t> bits;
  std::int64_t alignment = 1;
  SgdRule rule = {};
  WeightStorage storage = WeightStorage::values;
  bool some_without_decay = false;

  std::int64_t aligned(std::int64_t count) const { return (count + alignment - 1) / alignment * alignment; }
  std::vector<DorefaTensor> tensors() const {
    std::vector<DorefaTensor> table;
    std::int64_t offset = 0;
    for (std::size_t t = 0; t < numels.size(); ++t) {
      table.push_back({.numel = numels[t],
                       .weight_offset = offset,
                       .bits = bits[t],
                       .scale = 0.3F + 0.1F * static_cast<float>(t % 5),
                       .storage = storage,
                       .decays = decayed_parts(some_without_decay, t).weights});
      offset += aligned(numels[t]);
    }
    return table;
  }
  std::int64_t arena_size() const {
    const DorefaTensor last = tensors().back();
    return last.weight_offset + aligned(last.numel);
  }
};

inline std::vector<DorefaCase> dorefa_cases() {
  using enum WeightStorage;
  const std::vector<std::int64_t> resnet20 = resnet20_numels();
  const std::vector<std::int64_t> tails = {5, 1, 3, 15, 16, 17, 33, 2051};
  const std::vector<std::int32_t> every_width = {1, 2, 3, 4, 5, 6, 7, 8};
  return {{"ResNet-20, mixed bits", 1, resnet20, cycle_bits(resnet20.size(), every_width), 16},
          {"1 to 8 bits, tails", 0, tails, every_width, 1},
          {"one element", 0, {1}, {3}, 1},
          {"plain descent", 0, {100, 7}, {4, 2}, 1, {0, 0}},
          {"Nesterov", 0, {513, 10, 3}, {8, 1, 4}, 1, {0.9F, 0.01F, true}},
          {"1 to 8 bits, tails, integers", 0, tails, every_width, 16, {}, integers},
          {"1 to 8 bits, tails, bf16", 0, tails, every_width, 1, {}, integers_bf16},
          {"some without decay, Nesterov", 0, {15, 16, 513}, {3, 8, 5}, 1, {0.9F, 0.2F, true}, integers, true}};
}

/// bits: of k without its sign; 0: a tensor that is zero. Every third tensor is not pulled if `some_fixed`.
struct MsqCase {
  std::string name;
  int layers = 0;
  std::vector<std::int64_t> numels;
  std::vector<std::int32_t> bits;
  std::int64_t alignment = 1;
  float strength = 0.5F;
  SgdRule rule = {};
  WeightStorage storage = WeightStorage::values;
  bool some_fixed = false;
  bool some_without_decay = false;

  std::int64_t aligned(std::int64_t count) const { return (count + alignment - 1) / alignment * alignment; }
  std::vector<MsqTensor> tensors() const {
    std::vector<MsqTensor> table;
    std::int64_t offset = 0;
    for (std::size_t t = 0; t < numels.size(); ++t) {
      const bool is_pulled = bits[t] > 1 && !(some_fixed && t % 3 == 2);
      table.push_back({numels[t], offset, bits[t], is_pulled ? std::ldexp(1.0F, -bits[t]) : 0.0F, storage,
                       decayed_parts(some_without_decay, t)});
      offset += aligned(numels[t]);
    }
    return table;
  }
  std::int64_t arena_size() const {
    const MsqTensor last = tensors().back();
    return last.weight_offset + aligned(last.numel);
  }
};

inline std::vector<MsqCase> msq_cases() {
  using enum WeightStorage;
  const std::vector<std::int64_t> resnet20 = resnet20_numels();
  const std::vector<std::int64_t> tails = {5, 1, 3, 15, 16, 17, 31, 33, 1027};
  const std::vector<std::int32_t> every_width = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  return {{"ResNet-20, mixed bits", 1, resnet20, cycle_bits(resnet20.size(), every_width), 16},
          {"0 to 8 bits, tails, some fixed", 0, tails, every_width, 1, 1.0F, {}, values, true},
          {"one element", 0, {1}, {3}, 1},
          {"plain descent, no penalty", 0, {100, 7}, {4, 2}, 1, 0, {0, 0}},
          {"Nesterov", 0, {513, 10, 3}, {8, 1, 4}, 1, 0.5F, {0.9F, 0.01F, true}},
          {"0 to 8 bits, tails, integers", 0, tails, every_width, 16, 0.5F, {}, integers},
          {"0 to 8 bits, tails, bf16", 0, tails, every_width, 1, 0.5F, {}, integers_bf16},
          {"some without decay, Nesterov",
           0,
           {15, 16, 17, 513},
           {3, 8, 1, 5},
           1,
           0.5F,
           {0.9F, 0.2F, true},
           integers,
           false,
           true}};
}

}  // namespace bsq::cases
