// What a tensor on a device means, whatever its type and unit.
#pragma once

#include "engine/memory/device_memory.h"
#include "kernels/bf16.h"

#include <vector>

namespace bsq::test {

/// What a stored 1 is worth.
inline float read_unit(Backend& backend, const TensorUnit& unit) {
  float product = 1;
  for (const float* factor : {static_cast<const float*>(unit.activation), unit.weight})
    if (factor != nullptr) product *= download_array(backend, factor, 1)[0];
  return product;
}

/// The numbers as they are stored.
inline std::vector<float> read_stored(Backend& backend, const TensorView& view) {
  const auto count = static_cast<std::size_t>(view.shape.numel());
  if (view.dtype == DType::f32) return download_array(backend, view.as<float>(), count);
  std::vector<float> values;
  for (const bfloat16 value : download_array(backend, view.as<bfloat16>(), count)) values.push_back(to_float(value));
  return values;
}

/// The numbers they stand for.
inline std::vector<float> read_values(Backend& backend, const TensorView& view) {
  const float unit = read_unit(backend, view.unit);
  std::vector<float> values = read_stored(backend, view);
  for (float& value : values) value *= unit;
  return values;
}

}  // namespace bsq::test
