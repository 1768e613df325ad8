// Layers of a ResNet-50 on 224x224 images, for benchmarks alone: too large for the tests that op_cases.h feeds.
#pragma once

#include "bench/op_cases.h"

namespace bsq::cases {

inline std::vector<ConvCase> large_conv_cases() {
  return {
      {"56x56 3x3 64 to 64", 1, 1, 56, 56, 64, 64, 3, 1, 1},
      {"56x56 1x1 64 to 256", 1, 1, 56, 56, 64, 256, 1, 1, 0},
      {"56x56 1x1 256 to 64", 1, 1, 56, 56, 256, 64, 1, 1, 0},
      {"28x28 3x3 128 to 128", 1, 1, 28, 28, 128, 128, 3, 1, 1},
      {"28x28 3x3 strided 256 to 256", 1, 1, 28, 28, 256, 256, 3, 2, 1},
      {"14x14 3x3 256 to 256", 1, 1, 14, 14, 256, 256, 3, 1, 1},
      {"14x14 1x1 1024 to 256", 1, 1, 14, 14, 1024, 256, 1, 1, 0},
      {"7x7 3x3 512 to 512", 1, 1, 7, 7, 512, 512, 3, 1, 1},
  };
}

inline std::vector<NormActCase> large_norm_act_cases() {
  using enum Activation;
  return {
      {"56x56 64", 1, 1, 56 * 56, 64, false, {relu6, 4}},    {"56x56 256 second", 1, 1, 56 * 56, 256, true, {relu6, 4}},
      {"28x28 128", 1, 1, 28 * 28, 128, false, {relu6, 4}},  {"14x14 256", 1, 1, 14 * 14, 256, false, {relu6, 4}},
      {"7x7 2048 second", 1, 1, 49, 2048, true, {relu6, 4}},
  };
}

inline std::vector<PoolCase> large_pool_cases() {
  return {{"7x7 2048", 1, 1, 49, 2048}};
}

inline std::vector<LinearCase> large_linear_cases() {
  return {{"2048 to 1000 classes", 1, 1, 2048, 1000}};
}

/// A fifth of a ResNet-50's weights; their planes and momentum take 600 MB.
inline std::vector<PlaneCase> large_plane_cases() {
  return {{"2 of 3x3 512 to 512, 8 bits", 1, {9 * 512 * 512, 9 * 512 * 512}, {8, 8}, 16}};
}

}  // namespace bsq::cases
