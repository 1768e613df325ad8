// A part of the list of operator cases (bench/op_cases.h): the quantizer of LSQ+. ResNet-20 has none, so that `layers`
// is 0; `timed` marks those that a benchmark runs, of `numel` elements a picture.
#pragma once

#include "kernels/ops/operations.h"

#include <string>
#include <vector>

namespace bsq::cases {

struct OffsetQuantizerCase {
  std::string name;
  bool timed = false;
  int batch = 1;
  std::int64_t numel = 1;
  int bits = 4;
  float step = 0.25F;  // numbers are of N(0, 1)
  float offset = -2;

  OffsetQuantizerGeometry geometry(DType dtype) const { return {batch * numel, dtype, bits}; }
};

inline std::vector<OffsetQuantizerCase> offset_quantizer_cases() {
  return {
      {"MobileNetV2 56x56, 24 channels", true, 2, 56 * 56 * 24, 4, 0.23F, -1.7F},
      {"MobileNetV2 7x7, 320 channels", true, 3, 7 * 7 * 320, 8, 0.013F, -1.6F},
      {"one number", false, 1, 1},
      {"15 numbers, 1 bit", false, 1, 15, 1, 1.1F, -0.4F},
      {"17 numbers, 2 bits", false, 1, 17, 2, 0.7F, -1.1F},
      {"4100 numbers, 3 bits", false, 1, 4100, 3, 0.31F, -0.9F},
      {"9001 numbers", false, 1, 9001, 4, 0.19F, -1.3F},
      {"33001 numbers, 8 bits", false, 1, 33001, 8, 0.0117F, -1.37F},
      {"all above", false, 2, 40, 4, 0.01F, -9},
      {"all below", false, 2, 40, 4, 0.01F, 9},
      {"a step that divides badly", false, 3, 1024, 5, 1e-3F / 3, 0.3F},
  };
}

}  // namespace bsq::cases
