// The list of operator cases: the layers of ResNet-20 on 32x32 images, and odd tails that no vector width, block or
// cache line divides. It feeds the parity, gradient, guard-word and speed runs.
//
// A case gives sizes and rules, never contents. `batch` is small, for tests; a benchmark scales the real layers up with
// `case.batch = 128`. `layers` says how often ResNet-20 has the layer; 0 marks a tail.
#pragma once

#include "bench/grid_cases.h"
#include "bench/pooling_cases.h"
#include "bench/joining_cases.h"
#include "bench/level_cases.h"
#include "bench/norm_act_cases.h"
#include "bench/offset_quantizer_cases.h"
#include "bench/weight_cases.h"
#include "kernels/ops/operations.h"

#include <string>
#include <vector>

namespace bsq::cases {

// ---- convolution ----------------------------------------------------------------------------------------------------

struct ConvCase {
  std::string name;
  int layers = 0;
  int batch = 1;
  int height = 0;
  int width = 0;
  int in_channels = 0;
  int out_channels = 0;
  int kernel = 3;
  int stride = 1;
  int padding = 1;
  int added_gradients = 0;  // of `layers`, how often the gradient of the input is added to the shortcut's
  int groups = 1;

  /// How often the gradient of the input is needed: nobody needs that of the image.
  int input_gradients() const { return name == "stem" ? 0 : layers; }
  ConvGeometry geometry(DType dtype) const {
    return {batch, height, width, in_channels, out_channels, kernel, stride, padding, dtype, groups};
  }
};

inline std::vector<ConvCase> conv_cases() {
  return {
      {"stem", 1, 2, 32, 32, 3, 16, 3, 1, 1},
      {"stage1 3x3", 6, 2, 32, 32, 16, 16, 3, 1, 1, 3},
      {"stage2 3x3 strided", 1, 2, 32, 32, 16, 32, 3, 2, 1, 1},
      {"stage2 3x3", 5, 2, 16, 16, 32, 32, 3, 1, 1, 2},
      {"stage3 3x3 strided", 1, 2, 16, 16, 32, 64, 3, 2, 1, 1},
      {"stage3 3x3", 5, 2, 8, 8, 64, 64, 3, 1, 1, 2},
      {"stage2 shortcut", 1, 2, 32, 32, 16, 32, 1, 2, 0},
      {"stage3 shortcut", 1, 2, 16, 16, 32, 64, 1, 2, 0},
      {"5 to 17 channels", 0, 3, 7, 9, 5, 17, 3, 1, 1},
      {"17 to 3 channels, no padding", 0, 1, 6, 5, 17, 3, 3, 1, 0},
      {"strided, odd size", 0, 2, 9, 7, 3, 5, 3, 2, 1},
      {"strided, even size", 0, 2, 6, 8, 5, 3, 3, 2, 1},
      {"1x1", 0, 3, 5, 3, 17, 5, 1, 1, 0},
      {"1x1 strided, odd size", 0, 1, 5, 7, 3, 5, 1, 2, 0},
      {"5x5", 0, 2, 7, 6, 3, 5, 5, 1, 2},
      {"7x7 strided", 0, 1, 11, 13, 3, 17, 7, 2, 3},
      {"one pixel", 0, 1, 1, 1, 5, 3, 3, 1, 1},
      {"one row", 0, 1, 1, 13, 3, 17, 3, 1, 1},
      {"one channel", 0, 2, 4, 5, 1, 1, 3, 1, 1},
      {"gray stem", 0, 3, 9, 8, 1, 16, 3, 1, 1},
      {"gray stem, strided", 0, 2, 9, 11, 1, 32, 7, 2, 3},
      // for tensor cores: channels fill whole products, pixels do not
      {"16 to 16, odd size", 0, 3, 5, 7, 16, 16, 3, 1, 1},
      {"16 to 16, one pixel", 0, 2, 1, 1, 16, 16, 3, 1, 1},
      {"16 to 16, one pixel, strided", 0, 3, 1, 1, 16, 16, 3, 2, 1},
      {"16 to 16, long rows", 0, 1, 3, 41, 16, 16, 3, 1, 1},
      {"48 to 16, strided", 0, 1, 7, 9, 48, 16, 3, 2, 1},
      {"16 to 64, strided, odd size", 0, 2, 9, 7, 16, 64, 3, 2, 1},
      {"32 to 96, one row", 0, 2, 1, 9, 32, 96, 3, 1, 1},
      {"64 to 64, odd size", 0, 1, 5, 3, 64, 64, 3, 1, 1},
      {"64 to 128, strided", 0, 1, 6, 4, 64, 128, 3, 2, 1},
      {"8 to 32", 0, 2, 3, 6, 8, 32, 3, 1, 1},
      {"16 to 32, 1x1", 0, 1, 3, 5, 16, 32, 1, 1, 0},
      {"96 to 64, 1x1 strided, odd size", 0, 2, 5, 7, 96, 64, 1, 2, 0},
      // large filters and strides
      {"5x5 strided by 4", 0, 1, 9, 14, 3, 6, 5, 4, 2},
      {"11x11 strided by 4", 0, 1, 13, 17, 3, 5, 11, 4, 5},
      {"7x7, smaller image", 0, 2, 3, 5, 5, 3, 7, 1, 3},
      // groups
      {"3 groups of 5", 0, 2, 5, 6, 15, 15, 3, 1, 1, 0, 3},
      {"2 groups, 3 to 4, strided", 0, 3, 7, 6, 6, 8, 3, 2, 1, 0, 2},
      {"4 groups of 16", 0, 2, 5, 7, 64, 64, 3, 1, 1, 0, 4},
      {"2 groups of 64, strided", 0, 1, 7, 6, 128, 128, 3, 2, 1, 0, 2},
      {"32 groups of 4", 0, 1, 6, 5, 128, 128, 3, 1, 1, 0, 32},
      {"5 groups, 1x1 strided", 0, 2, 5, 7, 15, 20, 1, 2, 0, 0, 5},
      {"2 groups, 11x11 strided by 4", 0, 1, 12, 15, 4, 6, 11, 4, 5, 0, 2},
      {"depthwise 1", 0, 2, 4, 5, 2, 2, 3, 1, 1, 0, 2},
      {"depthwise 17", 0, 2, 7, 9, 17, 17, 3, 1, 1, 0, 17},
      {"depthwise 32, strided", 0, 3, 9, 7, 32, 32, 3, 2, 1, 0, 32},
      {"depthwise 40, even size", 0, 2, 6, 8, 40, 40, 3, 2, 1, 0, 40},
      {"depthwise 144", 0, 2, 5, 5, 144, 144, 3, 1, 1, 0, 144},
      {"depthwise 16, one pixel", 0, 3, 1, 1, 16, 16, 3, 1, 1, 0, 16},
      {"depthwise 24, 5x5 strided", 0, 1, 11, 6, 24, 24, 5, 2, 2, 0, 24},
      {"depthwise 3, 7x7, no padding", 0, 1, 9, 8, 3, 3, 7, 1, 0, 0, 3},
      {"depthwise 16, 11x11 strided by 4", 0, 1, 13, 9, 16, 16, 11, 4, 5, 0, 16},
      {"depthwise 5, 2 outputs each", 0, 2, 5, 6, 5, 10, 3, 1, 1, 0, 5},
      {"depthwise 16, 2 outputs each, strided", 0, 1, 7, 7, 16, 32, 3, 2, 1, 0, 16},
  };
}

// ---- head
// -------------------------------------------------------------------------------------------------------------

struct PoolCase {
  std::string name;
  int layers = 0;
  int batch = 1;
  int pixels = 1;
  int channels = 1;
  bool unit = false;  // the input is stored in one

  PoolGeometry geometry(DType dtype) const { return {batch, pixels, channels, dtype}; }
};

inline std::vector<PoolCase> pool_cases() {
  return {{"8x8", 1, 4, 64, 64},
          {"7x7, 17 channels", 0, 3, 49, 17},
          {"one pixel", 0, 5, 1, 3},
          {"one image, one channel", 0, 1, 13, 1},
          {"unit, 16 channels", 0, 3, 9, 16, true}};
}

struct LinearCase {
  std::string name;
  int layers = 0;
  int batch = 1;
  int in_features = 1;
  int out_features = 1;
  bool unit = false;  // the input is stored in one

  LinearGeometry geometry() const { return {batch, in_features, out_features}; }
};

inline std::vector<LinearCase> linear_cases() {
  return {{"10 classes", 1, 8, 64, 10}, {"100 classes", 0, 8, 64, 100}, {"5 to 3", 0, 3, 5, 3},
          {"one image", 0, 1, 64, 10},  {"one feature", 0, 7, 1, 17},   {"one output", 0, 3, 17, 1},
          {"unit", 0, 5, 33, 12, true}, {"150 classes", 0, 6, 20, 150}, {"150 classes, unit", 0, 6, 20, 150, true}};
}

struct LossCase {
  std::string name;
  int layers = 0;
  int batch = 1;
  int classes = 1;
  bool evaluation = false;  // no d_logits
  bool ties = false;        // logits are small integers, so that equal ones abound
  float label_smoothing = 0;
  float teacher_weight = 0;  // 0: no teacher
  float temperature = 1;
  float mixed_weight = 1;  // of the own label; 1: not mixed
};

inline std::vector<LossCase> loss_cases() {
  return {{"10 classes", 1, 8, 10},
          {"10 classes, evaluation", 1, 8, 10, true},
          {"100 classes", 0, 8, 100},
          {"ties", 0, 33, 10, false, true},
          {"fewer than 5 classes", 0, 7, 3},
          {"one class, one image", 0, 1, 1},
          {"smoothed", 0, 9, 10, false, false, 0.1F},
          {"100 classes, smoothed", 0, 8, 100, false, false, 0.3F},
          {"nothing but smoothing", 0, 3, 7, false, false, 1},
          {"one class, smoothed", 0, 2, 1, false, false, 0.5F},
          {"taught", 0, 9, 10, false, false, 0, 0.5F, 4},
          {"100 classes, taught and smoothed", 0, 8, 100, false, false, 0.1F, 0.75F, 2},
          {"nothing but a teacher, cold", 0, 300, 5, false, true, 0, 1, 0.5F},
          {"taught, loss alone", 0, 5, 33, true, false, 0, 0.5F, 3},
          {"mixed", 0, 9, 10, false, false, 0, 0, 1, 0.7F},
          {"100 classes, mixed and smoothed", 0, 8, 100, false, false, 0.1F, 0, 1, 0.25F},
          {"mixed and taught", 0, 12, 3, false, true, 0.1F, 0.5F, 2, 0.4F},
          {"mixed, loss alone", 0, 5, 33, true, false, 0, 0, 1, 0.1F}};
}

// ---- input ----------------------------------------------------------------------------------------------------------

struct AugmentCase {
  std::string name;
  int layers = 0;
  int batch = 1;
  int height = 0;
  int width = 0;
  int crop_padding = 0;
  bool random_flip = false;
  int images = 0;  // in the source
  std::int32_t epoch = 0;
  std::int64_t first_sample = 0;
  int channels = 3;

  AugmentRule rule() const {
    AugmentRule rule;
    rule.height = height;
    rule.width = width;
    rule.channels = channels;
    rule.crop_padding = crop_padding;
    rule.random_flip = random_flip;
    rule.mean = {0.4914F, 0.4822F, 0.4465F};
    rule.std = {0.2023F, 0.1994F, 0.2010F};
    rule.seed = 0x123456789ABCDEFULL;
    rule.stream = 3;
    return rule;
  }
};

inline std::vector<AugmentCase> augment_cases() {
  return {{"training", 1, 8, 32, 32, 4, true, 20, 3, 7},
          {"evaluation", 1, 8, 32, 32, 0, false, 20, 0, 0},
          {"flip alone", 0, 5, 5, 7, 0, true, 9, 1, 4},
          {"crop alone", 0, 5, 7, 5, 2, false, 9, 2, 0},
          {"padding beyond the image", 0, 6, 2, 3, 4, true, 6, 0, 0},
          {"one pixel", 0, 3, 1, 1, 1, true, 3, 0, 0},
          {"gray", 0, 8, 32, 32, 4, true, 20, 3, 7, 1},
          {"gray, odd size", 0, 5, 5, 7, 2, true, 9, 1, 4, 1}};
}

struct MixCase {
  std::string name;
  int layers = 0;
  int batch = 1;
  int height = 0;
  int width = 0;
  BatchMix mix = {};
  int channels = 3;
};

inline std::vector<MixCase> mix_cases() {
  return {
      {"averages", 1, 8, 32, 32, {.weight = 0.7F}},          {"boxes", 1, 8, 32, 32, {0.5F, 1, 2, 0, 30, 17}},
      {"averages, odd batch", 0, 5, 3, 7, {.weight = 0.1F}}, {"boxes, odd batch", 0, 5, 3, 7, {0.9F, 1, 1, 2, 2, 5}},
      {"an empty box", 0, 4, 3, 5, {1, 1, 2, 2, 0, 3}},      {"one image", 0, 1, 4, 4, {.weight = 0.5F}},
      {"gray averages", 0, 5, 3, 7, {.weight = 0.1F}, 1},    {"gray boxes", 0, 5, 3, 7, {0.9F, 1, 1, 2, 2, 5}, 1}};
}

}  // namespace bsq::cases
