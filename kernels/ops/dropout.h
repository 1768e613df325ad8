// Dropout, with a mask that is a function of what is dropped and not of how a batch is cut.
#pragma once

#include "kernels/types.h"

namespace bsq {

/// By what the random numbers of a batch are drawn: row i of the batch is sample samples[first_sample + i] of the set.
struct SampleKeys {
  std::uint64_t seed = 0;                 // Philox key
  std::uint32_t stream = 0;               // Philox stream, see random.h
  const StepInputs* inputs = nullptr;     // for the epoch and first_sample
  const std::int32_t* samples = nullptr;  // by place in the epoch's order
};

/// An element is dropped if the upper 24 of the bits that are drawn for it are below `threshold`.
struct DropoutRule {
  std::int32_t threshold = 0;  // 0: none is dropped; 2^24: all
  float scale = 1;             // of the others: 1 / (1 - rate); 0 where there are none
};

/// `rate`: 0 to 1, how likely it is that an element is dropped.
constexpr DropoutRule dropout_rule(double rate) {
  constexpr double steps = 1 << 24;
  return {static_cast<std::int32_t>(rate * steps + 0.5), rate < 1 ? static_cast<float>(1 / (1 - rate)) : 0.0F};
}

struct DropoutGeometry {
  int batch = 0;
  std::int64_t sample_size = 0;  // elements of a sample
  DType dtype = DType::f32;      // of input, output and gradients
};

/// dropout_forward: output = 0 where an element is dropped, else scale times the input. If `output_unit` is given,
/// what is stored stays as it is, and *output_unit = scale unit.activation, which is 1 where null: of numbers in a
/// unit. Random bits: draw_dropout in random.h. Whatever is dropped, infinity or NaN, is 0 then.
struct DropoutForwardArgs {
  DropoutGeometry geometry;
  DropoutRule rule;
  SampleKeys keys;
  const void* input = nullptr;
  TensorUnit unit = {};
  void* output = nullptr;
  float* output_unit = nullptr;
};

/// dropout_backward: d_input = 0 where an element was dropped, else scale times d_output, or d_output itself
/// if `has_unit`, as in forward: with respect to what is stored.
struct DropoutBackwardArgs {
  DropoutGeometry geometry;
  DropoutRule rule;
  SampleKeys keys;
  const void* d_output = nullptr;
  void* d_input = nullptr;
  bool has_unit = false;
  GradMode mode = GradMode::overwrite;
};

}  // namespace bsq
