// Deployed networks (METHOD 16): operations on levels, bytes that stand for numbers. What they compute is exact, or
// rounds as it is said here, so that every backend gives the same bits.
//
// Images are [N, H, W, C] of bytes, or vectors [N, C]. An image has fewer than 2^31 of them.
#pragma once

#include "kernels/ops/convolution.h"
#include "kernels/ops/pooling.h"

namespace bsq {

/// What bytes a tensor holds: 0 .. top, of which `zero` stands for 0. level(v) = zero + min(max(rint(v), -zero),
/// top - zero), half to even, with v in float32 (LevelRounding).
struct LevelRange {
  int zero = 0;
  int top = 255;
};

/// pixels_to_levels: levels [pixels, channels] = table[c][byte] of the bytes of pictures [pixels, channels].
struct PixelsToLevelsArgs {
  std::int64_t pixels = 0;  // of all pictures
  int channels = 0;
  const std::uint8_t* table = nullptr;  // [channels, 256]
  const std::uint8_t* pictures = nullptr;
  std::uint8_t* levels = nullptr;
};

/// convolve_levels: y = level(float32(start + sum k x) multiplier), the sum over a window of input [N, H, W, I], whose
/// padding is `input_zero`; the product rounds once. With start = bias - input_zero sum k that is METHOD's
/// bias + sum k (x - zero). |start| + 255 sum |k| is below 2^32, and every sum that can occur below 2^31.
struct ConvolveLevelsArgs {
  ConvGeometry geometry;  // its dtype is u8
  int input_zero = 0;
  LevelRange range;                     // of the output
  const std::uint8_t* input = nullptr;  // [N, H, W, I]
  const std::int8_t* k = nullptr;       // [O, K, K, I / groups]
  const std::int32_t* start = nullptr;  // [O]
  const float* multiplier = nullptr;    // [O]
  std::uint8_t* output = nullptr;       // [N, H', W', O]
};

/// add_levels: y = level(A x0 + (B x1 + C)) within 0 .. top: products and sums in double, each sum rounded to float32.
struct AddLevelsArgs {
  std::int64_t numel = 0;
  float a = 1;
  float b = 1;
  float c = 0;
  int top = 255;
  const std::uint8_t* x0 = nullptr;
  const std::uint8_t* x1 = nullptr;
  std::uint8_t* output = nullptr;
};

/// max_pool_levels: the largest level of each window. The number of windows is that of the geometry, whatever the rest
/// of it says; each has a place in the image. Padding is smaller than the kernel.
struct MaxPoolLevelsArgs {
  MaxPoolGeometry geometry;             // its dtype is u8
  const std::uint8_t* input = nullptr;  // [N, H, W, C]
  std::uint8_t* output = nullptr;       // [N, H', W', C]
};

/// concat_levels: output[pixel, first + c] = table[input[pixel, c]], one input of a concatenation at a time; nothing
/// else of the output is touched.
struct ConcatLevelsArgs {
  std::int64_t pixels = 0;  // of all images
  int channels = 0;         // of the input
  int first = 0;
  int output_channels = 0;              // of all inputs
  const std::uint8_t* table = nullptr;  // [256]
  const std::uint8_t* input = nullptr;
  std::uint8_t* output = nullptr;
};

/// flatten_levels: output [N, C, P] = input [N, P, C], which is PyTorch's order of a vector.
struct FlattenLevelsArgs {
  int batch = 0;
  int pixels = 0;  // P, of an image
  int channels = 0;
  const std::uint8_t* input = nullptr;
  std::uint8_t* output = nullptr;
};

/// classify_levels: logit = float32(sum k (x - input_zero) scale + offset), the exact sum over all pixels and channels
/// of input [N, P, C], below 2^63; product and addition in double, each rounded once, then to float32.
struct ClassifyLevelsArgs {
  int batch = 0;
  int pixels = 0;  // P, of an image
  int channels = 0;
  int classes = 0;
  int input_zero = 0;
  const std::uint8_t* input = nullptr;
  const std::int16_t* k = nullptr;  // [classes, C]
  const float* scale = nullptr;     // [classes]
  const float* offset = nullptr;    // [classes]
  float* logits = nullptr;          // [N, classes]
};

}  // namespace bsq
