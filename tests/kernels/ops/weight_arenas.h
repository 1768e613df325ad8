// What runs of the operators on weights share: tables, arenas with gaps, inputs of a step.
#pragma once

#include "tests/kernels/ops/op_runs.h"

#include <vector>

namespace bsq::test {

/// Stands between two tensors of an arena, where nobody has any business.
inline constexpr float gap_value = 12345.0F;

template <typename T>
DeviceTable<T> upload_table(RunMemory& memory, const std::vector<T>& tensors) {
  return {tensors, memory.bytes("table", tensors)};
}

inline StepInputs step_with(float learning_rate) {
  StepInputs inputs;
  inputs.learning_rate = learning_rate;
  return inputs;
}

/// Copies `count` values of `from` to the same place of `to`.
inline void copy_range(const std::vector<float>& from, std::int64_t offset, std::int64_t count,
                       std::vector<float>& to) {
  for (std::int64_t i = offset; i < offset + count; ++i) {
    to[static_cast<std::size_t>(i)] = from[static_cast<std::size_t>(i)];
  }
}

}  // namespace bsq::test
