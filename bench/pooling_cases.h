// Operator cases of kernels/ops/pooling.h, for op_cases.h: layers of VGG, AlexNet, ResNet-50, and odd tails.
#pragma once

#include "kernels/ops/pooling.h"

#include <string>
#include <vector>

namespace bsq::cases {

struct MaxPoolCase {
  std::string name;
  int layers = 0;
  int batch = 1;
  int height = 0;
  int width = 0;
  int channels = 0;
  int kernel = 2;
  int stride = 2;
  int padding = 0;
  bool ceil_mode = false;
  int levels = 0;  // inputs are integers below this, so that equal ones abound; 0: no two are equal

  MaxPoolGeometry geometry(DType dtype) const {
    const auto windows = [this](int size) { return count_windows(size, kernel, stride, padding, ceil_mode); };
    return {batch, height, width, channels, kernel, stride, padding, windows(height), windows(width), dtype};
  }
};

inline std::vector<MaxPoolCase> max_pool_cases() {
  return {{"2x2", 0, 2, 16, 16, 64, 2, 2, 0, false, 16},
          {"3x3 strided", 0, 2, 14, 14, 32, 3, 2, 1, false, 16},
          {"3x3 strided, odd size, 5 channels", 0, 3, 7, 9, 5, 3, 2, 1, false, 4},
          {"3x3 of stride 1, 17 channels", 0, 1, 6, 5, 17, 3, 1, 1, false, 3},
          {"3x3 of stride 1, 8 channels, no ties", 0, 2, 4, 5, 8, 3, 1, 1},
          {"2x2, odd size, 3 channels", 0, 2, 5, 7, 3, 2, 2, 0, false, 4},
          {"2x2, odd size, ceil_mode", 0, 2, 5, 7, 8, 2, 2, 0, true, 4},
          {"3x3 strided, ceil_mode, 4 channels", 0, 1, 6, 8, 4, 3, 2, 0, true, 4},
          {"3x3 strided, padding and ceil_mode", 0, 1, 6, 7, 16, 3, 2, 1, true, 4},
          {"2x2 of stride 3, ceil_mode, no window at the end", 0, 1, 9, 10, 1, 2, 3, 1, true, 4},
          {"5x5 of stride 2", 0, 1, 9, 8, 12, 5, 2, 2, false, 2},
          {"16x16, 3 channels", 0, 1, 19, 17, 3, 16, 2, 0, false, 2},
          {"3x3 strided, 6 channels", 0, 2, 8, 7, 6, 3, 2, 1, false, 4},
          {"one pixel, padding", 0, 3, 1, 1, 8, 3, 2, 1, false, 4},
          {"one row, no ties", 0, 2, 1, 13, 5, 1, 2, 0},
          {"one channel, no ties", 0, 2, 7, 8, 1, 3, 2, 1}};
}

struct WindowAverageCase {
  std::string name;
  int layers = 0;
  int batch = 1;
  int height = 0;
  int width = 0;
  int channels = 0;
  int kernel = 0;  // side by side; 0: `windows` on each axis
  int windows = 0;
  bool unit = false;  // the input is stored in one

  WindowAverageGeometry geometry(DType dtype) const {
    const auto count = [this](int size) { return kernel > 0 ? size / kernel : windows; };
    return {batch, height, width, channels, kernel, count(height), count(width), dtype};
  }
};

inline std::vector<WindowAverageCase> window_average_cases() {
  return {{"2x2", 0, 2, 16, 16, 24, 2},
          {"2x2, odd size, 5 channels", 0, 3, 7, 5, 5, 2, 0, true},
          {"8x8", 0, 2, 8, 8, 16, 8, 0, true},
          {"3x3, one row left over", 0, 1, 7, 6, 8, 3},
          {"7x7 windows of 14x14", 0, 1, 14, 14, 8, 0, 7},
          {"7x7 windows of 2x2", 0, 2, 2, 2, 16, 0, 7, true},
          {"6x6 windows of 13x9, 3 channels", 0, 2, 13, 9, 3, 0, 6, true},
          {"2x2, 10 channels", 0, 1, 4, 6, 10, 2},
          {"one window, 17 channels", 0, 2, 5, 3, 17, 0, 1},
          {"one pixel, one channel", 0, 3, 1, 1, 1, 1}};
}

struct FlattenCase {
  std::string name;
  int layers = 0;
  int batch = 1;
  int pixels = 1;
  int channels = 1;
  bool unit = false;  // the input is stored in one

  FlattenGeometry geometry(DType dtype) const { return {batch, pixels, channels, dtype}; }
};

inline std::vector<FlattenCase> flatten_cases() {
  return {{"7x7 64", 0, 2, 49, 64},
          {"one pixel, 512 channels", 0, 9, 1, 512, true},
          {"one pixel, 5 channels", 0, 3, 1, 5},
          {"4 pixels, 264 channels", 0, 2, 4, 264},
          {"130 pixels, 72 channels", 0, 1, 130, 72, true},
          {"65 pixels, 67 channels", 0, 2, 65, 67, true},
          {"one channel", 0, 2, 9, 1},
          {"36 pixels, 3 channels", 0, 3, 36, 3}};
}

}  // namespace bsq::cases
