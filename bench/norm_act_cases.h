// The cases of op_cases.h of norm_act: batch norm or a bias, shortcut, activation, quantizer.
#pragma once

#include "kernels/ops/norm_act.h"

#include <array>
#include <string>
#include <vector>

namespace bsq::cases {

struct NormActCase {
  std::string name;
  int layers = 0;
  int batch = 1;
  int pixels = 1;
  int channels = 1;
  bool shortcut = false;
  NormActRule rule = {};
  bool units = false;  // x and shortcut are stored in units of their own; y as levels where it is quantized
  int x_pitch = 0;
  bool bias = true;         // false: beta is null, where nothing is normalized
  bool input_bias = false;  // the convolution before it has one

  NormActGeometry geometry(DType dtype) const { return {std::int64_t{batch} * pixels, channels, dtype, x_pitch}; }
};

/// Where nothing is normalized: the convolutions of VGG, the sums of PreResNet, and everything small.
inline std::vector<NormActCase> bias_cases() {
  using enum Activation;
  constexpr NormActRule sum{.activation = none, .normalize = false};
  constexpr NormActRule relu6_4_bits{.activation = relu6, .act_bits = 4, .normalize = false};
  std::vector<NormActCase> cases = {
      {"bias of vgg", 0, 2, 64, 64, false, {.activation = relu, .normalize = false}, true},
      {"bias of vgg, 4 bits", 0, 2, 64, 64, false, relu6_4_bits, true},
      {"bias of vgg, 17 channels, 4 bits", 0, 3, 29, 17, false, relu6_4_bits, true},
      {"sum of preresnet", 0, 2, 256, 16, true, sum, true, 0, false},
      {"sum of preresnet, 17 channels", 0, 3, 29, 17, true, sum, true, 0, false},
      {"bias and sum, 16 channels, 4 bits", 0, 3, 29, 16, true, relu6_4_bits, true},
      {"bias of vectors", 0, 3, 1, 10, false, {.activation = relu, .normalize = false}},
      {"bias of one number", 0, 1, 1, 1, false, relu6_4_bits},
      {"bias of 12 of 36 channels", 0, 3, 29, 12, true, {.activation = pact, .normalize = false}, true, 36},
      {"sum of 5 of 7 channels", 0, 3, 29, 5, true, sum, true, 7, false},
  };
  for (const Activation activation : {none, relu, relu6, pact, lsq}) {
    for (const int act_bits : {0, 3}) {
      if (activation == lsq && act_bits == 0) continue;
      for (const bool shortcut : {false, true}) {
        for (const bool bias : {false, true}) {
          for (const bool training : {true, false}) {
            const NormActRule rule{.activation = activation,
                                   .act_bits = act_bits,
                                   .batch_statistics = training,
                                   .normalize = false,
                                   .clip_gain = 1.75F};
            const std::string name = std::string("no norm, ") + name_of(activation) + ", " + std::to_string(act_bits) +
                                     " bits" + (shortcut ? ", shortcut" : "") + (bias ? ", bias" : "") +
                                     (training ? "" : ", evaluation");
            cases.push_back({name, 0, 3, 29, shortcut ? 17 : 5, shortcut, rule, false, 0, bias});
          }
        }
      }
    }
  }
  return cases;
}

/// Norms of DenseNet, whose rows are a part of those of their block, and odd ones; and norms behind a bias.
inline std::vector<NormActCase> pitched_and_biased_norm_cases() {
  using enum Activation;
  std::vector<NormActCase> cases;
  for (const auto& [channels, pitch] : {std::array{24, 216},
                                        {36, 216},
                                        {204, 216},
                                        {216, 216},
                                        {108, 300},
                                        {150, 342},
                                        {342, 342},
                                        {16, 33},
                                        {5, 17},
                                        {7, 30},
                                        {1, 4},
                                        {17, 40}}) {
    const std::string name = std::to_string(channels) + " of " + std::to_string(pitch) + " channels";
    cases.push_back({name, 0, 3, 29, channels, false, {relu6, 4}, true, pitch});
    if (channels > 50) continue;
    cases.push_back({name + ", pact", 0, 3, 29, channels, false, {pact, 0}, false, pitch});
    cases.push_back({name + ", lsq", 0, 3, 29, channels, false, {lsq, 2}, false, pitch});
    cases.push_back({name + ", shortcut, 4 bits", 0, 3, 29, channels, true, {relu, 4}, true, pitch});
    cases.push_back({name + ", evaluation", 0, 3, 29, channels, false, {relu6, 4, false}, true, pitch});
  }
  for (const bool batch_statistics : {true, false}) {
    const std::string when = batch_statistics ? "" : ", evaluation";
    for (const int act_bits : {0, 4}) {
      const NormActRule rule{relu6, act_bits, batch_statistics};
      const std::string name = "behind a bias, " + std::to_string(act_bits) + " bits" + when;
      cases.push_back({name, 0, 3, 29, 16, false, rule, true, 0, true, true});
      cases.push_back({name + ", shortcut", 0, 3, 29, 5, true, rule, false, 0, true, true});
      cases.push_back({name + ", 12 of 36 channels", 0, 3, 29, 12, false, rule, false, 36, true, true});
    }
  }
  return cases;
}

inline std::vector<NormActCase> norm_act_cases() {
  using enum Activation;
  std::vector<NormActCase> cases = {
      {"stem", 1, 2, 1024, 16, false, {relu, 0}},
      {"stage1 first", 3, 2, 1024, 16, false, {relu6, 4}},
      {"stage1 second", 3, 2, 1024, 16, true, {relu6, 4}},
      {"stage2 first", 3, 2, 256, 32, false, {relu6, 4}},
      {"stage2 second", 3, 2, 256, 32, true, {relu6, 4}},
      {"stage3 first", 3, 2, 64, 64, false, {relu6, 4}},
      {"stage3 second", 3, 2, 64, 64, true, {relu6, 4}},
      {"stage2 shortcut", 1, 2, 256, 32, false, {none, 0}},
      {"stage3 shortcut", 1, 2, 64, 64, false, {none, 0}},
      {"one row", 0, 1, 1, 17, false, {relu6, 4}},
      {"two rows", 0, 2, 1, 5, true, {pact, 2}},
      {"one channel", 0, 1, 37, 1, false, {relu, 3}},
      {"rows by the thousand, 3 channels", 0, 3, 1031, 3, true, {pact, 3}},
      {"units, 16 channels", 0, 3, 29, 16, false, {relu6, 4}, true},
      {"units, 16 channels, shortcut", 0, 3, 29, 16, true, {relu6, 4}, true},
      {"units, 16 channels, shortcut, evaluation", 0, 3, 29, 16, true, {relu6, 4, false}, true},
      {"units, 5 channels", 0, 3, 29, 5, false, {pact, 2}, true},
      {"units, 17 channels, shortcut", 0, 3, 29, 17, true, {pact, 8}, true},
      {"units, 16 channels, shortcut, lsq",
       0,
       3,
       29,
       16,
       true,
       {.activation = lsq, .act_bits = 4, .clip_gain = 7},
       true},
      {"units, not quantized", 0, 3, 29, 16, true, {relu, 0}, true},
      {"units, no activation", 0, 3, 29, 5, false, {none, 0}, true},
  };
  for (const Activation activation : {none, relu, relu6, pact, lsq}) {
    for (const int act_bits : {0, 1, 2, 4, 8}) {
      if (activation == lsq && act_bits == 0) continue;
      for (const bool shortcut : {false, true}) {
        for (const bool batch_statistics : {true, false}) {
          const int channels = shortcut ? 17 : 5;
          const std::string name = std::string(name_of(activation)) + ", " + std::to_string(act_bits) + " bits" +
                                   (shortcut ? ", shortcut" : "") + (batch_statistics ? "" : ", evaluation");
          cases.push_back({name, 0, 3, 29, channels, shortcut, {activation, act_bits, batch_statistics}});
        }
      }
    }
  }
  for (const std::vector<NormActCase>& more : {bias_cases(), pitched_and_biased_norm_cases()})
    cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

}  // namespace bsq::cases
