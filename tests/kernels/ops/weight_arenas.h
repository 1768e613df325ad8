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

/// Values where tensors are, and gaps between them.
template <typename Tensor>
std::vector<float> with_gaps(const std::vector<float>& values, const std::vector<Tensor>& tensors) {
  std::vector<float> result(values.size(), gap_value);
  for (const Tensor& tensor : tensors) copy_range(values, tensor.weight_offset, tensor.numel, result);
  return result;
}

/// Weights as they are stored; integers are values that nothing may round. Those in bf16 lie at the same place in
/// bytes: they are given at the floats' places, and all other storage as "gaps".
template <typename Tensor>
void read_weights(const std::vector<Tensor>& tensors, Outputs& outputs) {
  if (tensors[0].storage == WeightStorage::integers) outputs.at("weights").dtype = DType::i32;
  if (tensors[0].storage != WeightStorage::integers_bf16) return;
  std::vector<double>& stored = outputs.at("weights").values;
  Output integers{DType::i32, std::vector<double>(stored.size() / 2, 0.0)};
  for (const Tensor& tensor : tensors) {
    const auto offset = static_cast<std::size_t>(tensor.weight_offset);
    for (std::size_t i = 0; i < static_cast<std::size_t>(tensor.numel); ++i) {
      integers.values[offset + i] = stored[2 * offset + i];
      stored[2 * offset + i] = 0;
    }
  }
  outputs["gaps"] = outputs.at("weights");
  outputs["weights"] = integers;
}

/// Where an operation writes effective weights.
inline float* weight_output(RunMemory& memory, WeightStorage storage, std::int64_t floats) {
  const DType dtype = storage == WeightStorage::integers_bf16 ? DType::bf16 : DType::f32;
  const auto per_float = static_cast<std::int64_t>(sizeof(float) / size_of(dtype));
  return static_cast<float*>(memory.output("weights", dtype, per_float * floats));
}

}  // namespace bsq::test
