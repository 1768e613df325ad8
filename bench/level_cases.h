// A part of the list of operator cases (bench/op_cases.h): operations on levels. No step of a training has them, so
// that `layers` is 0; `timed` marks those that a benchmark runs.
#pragma once

#include "bench/pooling_cases.h"
#include "kernels/ops/operations.h"

#include <string>
#include <vector>

namespace bsq::cases {

/// largest: sums at both ends of 32 bits. halves: numbers between two levels, as many as not.
enum class LevelContents : std::uint8_t { random, largest, halves };

struct LevelConvCase {
  std::string name;
  bool timed = false;
  int batch = 1;
  int height = 0;
  int width = 0;
  int in_channels = 0;
  int out_channels = 0;
  int kernel = 3;
  int stride = 1;
  int padding = 1;
  int groups = 1;
  int input_zero = 0;
  LevelRange range = {0, 15};
  LevelContents contents = LevelContents::random;

  ConvGeometry geometry() const {
    return {batch, height, width, in_channels, out_channels, kernel, stride, padding, DType::u8, groups};
  }
};

inline std::vector<LevelConvCase> level_conv_cases() {
  constexpr LevelContents largest = LevelContents::largest, halves = LevelContents::halves;
  return {
      {"stage1 3x3", true, 1, 32, 32, 16, 16},
      {"stage3 3x3", true, 1, 8, 8, 64, 64},
      {"stem", true, 2, 9, 7, 3, 16, 3, 1, 1, 1, 128, {117, 255}},
      {"one pixel, one channel", false, 1, 1, 1, 1, 1, 3, 1, 1, 1, 255, {255, 255}},
      {"5 to 3, strided", false, 2, 7, 5, 5, 3, 3, 2, 1, 1, 31, {0, 255}},
      {"20 to 33, 5x5", false, 2, 4, 6, 20, 33, 5, 1, 2, 1, 3, {9, 100}},
      {"linear, 72 to 9", false, 3, 1, 1, 72, 9, 1, 1, 0, 1, 200, {0, 1}},
      {"33 to 5, 7x7 strided", false, 1, 9, 8, 33, 5, 7, 3, 3, 1, 0, {128, 255}},
      {"depthwise 17", false, 2, 5, 4, 17, 17, 3, 1, 1, 17, 255, {0, 63}},
      {"depthwise 64, strided", false, 2, 7, 6, 64, 64, 3, 2, 1, 64, 12, {7, 255}},
      {"3 groups of 4 to 5", false, 2, 4, 5, 12, 15, 3, 1, 1, 3, 100, {100, 200}},
      {"2 groups of 16, strided", false, 1, 6, 5, 32, 32, 3, 2, 1, 2, 77, {0, 255}},
      {"2 groups of 3", false, 1, 6, 5, 6, 4, 1, 2, 0, 2, 1, {0, 3}},
      {"ends of 32 bits, 5 channels", false, 1, 2, 3, 5, 6, 3, 1, 1, 1, 255, {128, 255}, largest},
      {"halves, 4 channels", false, 2, 5, 5, 4, 7, 3, 1, 1, 1, 2, {60, 120}, halves},
      // for tensor cores
      {"16 to 16, one pixel", false, 2, 1, 1, 16, 16, 3, 1, 1, 1, 255, {255, 255}},
      {"16 to 16, odd size", false, 3, 7, 9, 16, 16, 3, 1, 1, 1, 0, {0, 3}},
      {"48 to 48, strided", false, 1, 7, 9, 48, 48, 3, 2, 1, 1, 130, {117, 255}},
      {"16 to 96, 1x1 strided", false, 2, 9, 8, 16, 96, 1, 2, 0, 1, 9, {0, 255}},
      {"32 to 32, 5x5", false, 1, 6, 5, 32, 32, 5, 1, 2, 1, 255, {0, 200}},
      {"linear, 160 to 80", false, 5, 1, 1, 160, 80, 1, 1, 0, 1, 3, {50, 255}},
      {"64 to 16, no padding", false, 2, 5, 4, 64, 16, 3, 1, 0, 1, 64, {0, 1}},
      {"ends of 32 bits, 32 channels", false, 1, 2, 3, 32, 32, 3, 1, 1, 1, 255, {128, 255}, largest},
      {"halves, 16 channels", false, 2, 5, 5, 16, 32, 3, 1, 1, 1, 2, {60, 120}, halves},
  };
}

struct LevelSumCase {
  std::string name;
  bool timed = false;
  int batch = 1;
  std::int64_t numel = 1;
  float a = 1;
  float b = 1;
  float c = 0;
  int top = 255;
};

inline std::vector<LevelSumCase> level_sum_cases() {
  return {{"32x32, 16 channels", true, 1, 32 * 32 * 16, 0.37F, 0.81F, -11.3F},
          {"one level", false, 1, 1, 1.5F, -0.75F, 20.25F, 150},
          {"halves", false, 1, 1003, 0.5F, 0.5F, -3, 100},
          {"halves of odd numbers", false, 1, 515, 1.5F, -0.5F, 1.5F},
          {"top 1", false, 2, 300, 0.004F, 0.003F, -0.5F, 1},
          {"far out", false, 1, 261, 1e30F, -1e30F, 0},
          {"numbers that round badly", false, 1, 4099, 1.0F / 3, 0.1F, 1e-7F}};
}

/// The windows of other maxima, of levels.
struct LevelMaximumCase : MaxPoolCase {};

inline std::vector<LevelMaximumCase> level_maximum_cases() {
  std::vector<LevelMaximumCase> cases;
  for (const MaxPoolCase& c : max_pool_cases()) cases.push_back({c});
  return cases;
}

struct LevelConcatCase {
  std::string name;
  int batch = 1;
  int pixels = 1;
  int channels = 1;
  int first = 0;
  int output_channels = 1;
};

inline std::vector<LevelConcatCase> level_concat_cases() {
  return {{"all there is", 2, 6, 16, 0, 16},
          {"17 of 23", 3, 7, 17, 3, 23},
          {"1 of 2", 1, 300, 1, 1, 2},
          {"the last 12", 2, 16, 12, 36, 48}};
}

/// An image as a vector, or as a head reads it.
struct LevelImageCase {
  std::string name;
  bool timed = false;
  int batch = 1;
  int pixels = 1;
  int channels = 1;
  int classes = 10;
  int input_zero = 0;
};

inline std::vector<LevelImageCase> level_image_cases() {
  return {{"8x8, 64 channels", true, 3, 64, 64, 10, 0},
          {"one level", false, 1, 1, 1, 1, 255},
          {"7x7, 17 channels", false, 3, 49, 17, 3, 128},
          {"300 channels, 33 classes", false, 2, 2, 300, 33, 7},
          {"a vector of 513", false, 2, 1, 513, 101, 100}};
}

}  // namespace bsq::cases
