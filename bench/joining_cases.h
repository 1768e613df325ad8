// A part of the list of operator cases (bench/op_cases.h): concatenation and dropout. ResNet-20 has neither, so that
// `layers` is 0; `timed` marks the layers of other networks that a benchmark runs.
#pragma once

#include "kernels/ops/operations.h"

#include <string>
#include <vector>

namespace bsq::cases {

struct ConcatCase {
  std::string name;
  bool timed = false;
  int batch = 1;
  int pixels = 1;
  int channels = 1;
  std::int64_t offset = 0;
  std::int64_t output_pitch = 1;
  std::int64_t input_pitch = 0;  // 0: the channels
  bool units = false;            // the input is stored in a unit

  ConcatGeometry geometry(DType dtype) const {
    return {
        std::int64_t{batch} * pixels, channels, input_pitch == 0 ? channels : input_pitch, output_pitch, offset, dtype};
  }
};

inline std::vector<ConcatCase> concat_cases() {
  return {
      {"DenseNet-BC stage 1, last", true, 2, 1024, 12, 204, 216, 0, true},
      {"DenseNet-BC stage 1, first", true, 2, 1024, 24, 0, 216},
      {"DenseNet stage 3, last", true, 2, 64, 12, 324, 336, 0, true},
      {"GoogLeNet 28x28, 128 of 256", true, 1, 784, 128, 64, 256},
      {"all there is", false, 2, 5, 16, 0, 16},
      {"17 of 23", false, 3, 7, 17, 3, 23},
      {"1 of 2, units", false, 3, 29, 1, 1, 2, 0, true},
      {"8 at 8 of 24", false, 3, 5, 8, 8, 24},
      {"8 at 4 of 20", false, 3, 5, 8, 4, 20, 0, true},
      {"6 at 2 of 10", false, 3, 5, 6, 2, 10},
      {"8 at an odd place", false, 3, 5, 8, 3, 16},
      {"16 of 48 into 32", false, 2, 9, 16, 16, 32, 48, true},
      {"16 of 21 into 35", false, 2, 9, 16, 2, 35, 21},
      {"one row, many channels", false, 1, 1, 1031, 5, 1040},
      {"rows by the thousand", false, 3, 1031, 4, 4, 8},
  };
}

struct DropoutCase {
  std::string name;
  bool timed = false;
  int batch = 1;
  std::int64_t sample_size = 1;
  double rate = 0.5;
  bool units = false;  // integers in a unit, as quantized activations are
  std::int32_t epoch = 0;
  std::int64_t first_sample = 0;

  DropoutGeometry geometry(DType dtype) const { return {batch, sample_size, dtype}; }
};

inline std::vector<DropoutCase> dropout_cases() {
  return {
      {"WRN-16 stage 1", true, 2, 32 * 32 * 32, 0.3, true, 7, 3},
      {"DenseNet 12 channels", true, 2, 32 * 32 * 12, 0.2, false, 1, 0},
      {"AlexNet 4096 features", true, 3, 4096, 0.5, false, 2, 5},
      {"64", false, 3, 64, 0.5},
      {"one element", false, 5, 1, 0.5},
      {"15", false, 3, 15, 0.25, true},
      {"24", false, 3, 24, 0.1},
      {"65", false, 2, 65, 0.9, true, 4, 2},
      {"1027", false, 2, 1027, 0.1, false, 100000, 9},
      {"8200, whole vectors, not whole groups", false, 2, 8200, 0.7, true},
      {"none dropped", false, 2, 100, 0, false},
      {"none dropped, units", false, 2, 100, 0, true},
      {"all dropped", false, 2, 100, 1, false},
      {"all dropped, units", false, 2, 100, 1, true},
  };
}

}  // namespace bsq::cases
