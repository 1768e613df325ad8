// Layers of a ResNet-50 and of a VGG on 224x224 images, convolutions of a MobileNetV2 on them (depthwise), of
// ResNeXt-29 8x64 on 32x32 (groups) and of an AlexNet, and what only CIFAR's VGG, PreResNet and DenseNet have, for
// benchmarks alone: too large for the tests that op_cases.h feeds.
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
      {"224x224 7x7 strided 3 to 64", 1, 1, 224, 224, 3, 64, 7, 2, 3},
      {"32x32 11x11 strided 3 to 64", 1, 1, 32, 32, 3, 64, 11, 4, 5},
      {"4x4 5x5 64 to 192", 1, 1, 4, 4, 64, 192, 5, 1, 2},
      {"32x32 8 groups of 64", 1, 1, 32, 32, 512, 512, 3, 1, 1, 0, 8},
      {"32x32 8 groups of 128 strided", 1, 1, 32, 32, 1024, 1024, 3, 2, 1, 0, 8},
      {"8x8 8 groups of 256", 1, 1, 8, 8, 2048, 2048, 3, 1, 1, 0, 8},
      {"112x112 depthwise 32", 1, 1, 112, 112, 32, 32, 3, 1, 1, 0, 32},
      {"112x112 depthwise strided 96", 1, 1, 112, 112, 96, 96, 3, 2, 1, 0, 96},
      {"56x56 depthwise 144", 1, 1, 56, 56, 144, 144, 3, 1, 1, 0, 144},
      {"14x14 depthwise 384", 1, 1, 14, 14, 384, 384, 3, 1, 1, 0, 384},
      {"7x7 depthwise 960", 1, 1, 7, 7, 960, 960, 3, 1, 1, 0, 960},
  };
}

inline std::vector<NormActCase> large_norm_act_cases() {
  using enum Activation;
  return {
      {"56x56 64", 1, 1, 56 * 56, 64, false, {relu6, 4}},
      {"56x56 256 second", 1, 1, 56 * 56, 256, true, {relu6, 4}},
      {"28x28 128", 1, 1, 28 * 28, 128, false, {relu6, 4}},
      {"14x14 256", 1, 1, 14 * 14, 256, false, {relu6, 4}},
      {"7x7 2048 second", 1, 1, 49, 2048, true, {relu6, 4}},
      {"vgg 32x32 64, bias", 1, 1, 1024, 64, false, {.activation = relu, .normalize = false}},
      {"vgg 16x16 128, bias, 4 bits", 1, 1, 256, 128, false, {.activation = relu6, .act_bits = 4, .normalize = false}},
      {"preresnet 32x32 16, sum", 1, 1, 1024, 16, true, {.activation = none, .normalize = false}, false, 0, false},
      {"densenet 32x32 96 of 216", 1, 1, 1024, 96, false, {relu6, 4}, false, 216},
      {"densenet 32x32 108 of 216", 1, 1, 1024, 108, false, {relu6, 4}, false, 216},
      {"densenet 8x8 342 of 342", 1, 1, 64, 342, false, {relu6, 4}, false, 342},
  };
}

inline std::vector<PoolCase> large_pool_cases() {
  return {{"7x7 2048", 1, 1, 49, 2048}};
}

inline std::vector<MaxPoolCase> large_max_pool_cases() {
  return {{"112x112 64, 3x3 strided", 1, 1, 112, 112, 64, 3, 2, 1}, {"56x56 256, 2x2", 1, 1, 56, 56, 256, 2, 2, 0}};
}

inline std::vector<WindowAverageCase> large_window_average_cases() {
  return {{"56x56 256, 2x2", 1, 1, 56, 56, 256, 2}, {"14x14 512, 7x7 windows", 1, 1, 14, 14, 512, 0, 7}};
}

inline std::vector<FlattenCase> large_flatten_cases() {
  return {{"7x7 512", 1, 1, 49, 512}};
}

inline std::vector<LinearCase> large_linear_cases() {
  return {{"2048 to 1000 classes", 1, 1, 2048, 1000}};
}

/// A fifth of a ResNet-50's weights; their planes and momentum take 600 MB.
inline std::vector<PlaneCase> large_plane_cases() {
  return {{"2 of 3x3 512 to 512, 8 bits", 1, {9 * 512 * 512, 9 * 512 * 512}, {8, 8}, 16}};
}

}  // namespace bsq::cases
