// Pooling over windows of an image, and flattening. The pooling of a whole image is in head.h.
#pragma once

#include "kernels/types.h"

namespace bsq {

/// How many windows of a max pooling there are along an axis; 0 where none fits. With `ceil_mode` the last one may
/// reach beyond the image and its padding, if it starts in the image or before it.
constexpr int count_windows(int size, int kernel, int stride, int padding, bool ceil_mode) {
  const int room = size + 2 * padding - kernel + (ceil_mode ? stride - 1 : 0);
  if (room < 0) return 0;
  const int count = room / stride + 1;
  return (count - 1) * stride < size + padding ? count : count - 1;
}

/// Square windows, `stride` apart, the first of which starts `padding` before the image: kernel / 2 at most. What is
/// not in the image belongs to no window.
struct MaxPoolGeometry {
  static constexpr int kMostKernel = 16;  // places in a window are counted in a byte

  int batch = 0;
  int height = 0;
  int width = 0;
  int channels = 0;
  int kernel = 2;
  int stride = 2;
  int padding = 0;
  int out_height = 0;        // count_windows() of the height
  int out_width = 0;         // likewise
  DType dtype = DType::f32;  // of input, output and gradients

  constexpr Shape input_shape() const { return {batch, height, width, channels}; }
  constexpr Shape output_shape() const { return {batch, out_height, out_width, channels}; }
};

/// max_pool_forward: output [N, H', W', C] = the largest number of each window of input [N, H, W, C], as it is stored;
/// of equal ones the first in the order of rows; a NaN is larger than any number, the last one counts. `winners` says
/// where in its window it was found: row * kernel + column, counted from the window's corner.
struct MaxPoolForwardArgs {
  MaxPoolGeometry geometry;
  const void* input = nullptr;
  void* output = nullptr;
  std::uint8_t* winners = nullptr;  // [N, H', W', C]; null where no backward follows
};

/// max_pool_backward: d_input = the sum of d_output over the windows that each number has won.
struct MaxPoolBackwardArgs {
  MaxPoolGeometry geometry;
  const void* d_output = nullptr;
  const std::uint8_t* winners = nullptr;
  void* d_input = nullptr;
  GradMode mode = GradMode::overwrite;
};

/// Windows of kernel x kernel side by side, what is left over at the end belongs to none; or, where
/// kernel is 0, out_height x out_width windows that cover the image, of which neighbours may share rows and columns:
/// window i of n over a size covers [floor(i size / n), ceil((i + 1) size / n)).
struct WindowAverageGeometry {
  int batch = 0;
  int height = 0;
  int width = 0;
  int channels = 0;
  int kernel = 0;
  int out_height = 0;  // height / kernel where there is a kernel
  int out_width = 0;
  DType dtype = DType::f32;  // of input, output and gradients

  constexpr Shape input_shape() const { return {batch, height, width, channels}; }
  constexpr Shape output_shape() const { return {batch, out_height, out_width, channels}; }
};

/// window_average_forward: output = unit times the mean of each window of input.
struct WindowAverageForwardArgs {
  WindowAverageGeometry geometry;
  const void* input = nullptr;
  TensorUnit unit = {};
  void* output = nullptr;
};

/// window_average_backward: d_input = unit times the sum, over the windows that a number is in, of d_output over the
/// numbers of the window: with respect to the stored input.
struct WindowAverageBackwardArgs {
  WindowAverageGeometry geometry;
  const void* d_output = nullptr;
  TensorUnit unit = {};
  void* d_input = nullptr;
  GradMode mode = GradMode::overwrite;
};

struct FlattenGeometry {
  int batch = 0;
  int pixels = 0;  // H * W
  int channels = 0;
  DType dtype = DType::f32;  // of the input and its gradient; the flat side is float32
};

/// flatten_forward: output [N, C * pixels] float32 = unit times input [N, pixels, C], in PyTorch's order: channel by
/// channel.
struct FlattenForwardArgs {
  FlattenGeometry geometry;
  const void* input = nullptr;
  TensorUnit unit = {};
  float* output = nullptr;
};

/// flatten_backward: d_input [N, pixels, C] = unit times d_output [N, C * pixels], with respect to the stored input.
struct FlattenBackwardArgs {
  FlattenGeometry geometry;
  const float* d_output = nullptr;
  TensorUnit unit = {};
  void* d_input = nullptr;
  GradMode mode = GradMode::overwrite;
};

}  // namespace bsq
