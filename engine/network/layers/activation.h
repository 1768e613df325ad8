// The end that norm_act and bias_act have in common: an activation and its quantizer, with their options, parameters
// and states.
#pragma once

#include "engine/network/layer.h"

#include <string>

namespace bsq {

struct LayerRequest;
class NodeOptions;

struct ActivationPart {
  Activation activation = Activation::relu;
  int act_bits = 0;
  std::string name = {};   // PyTorch's module: layer1.0.relu1; empty if there is none
  ParameterId clip = -1;   // a learned ceiling
  StateId act_scale = -1;  // [1], a static S for inference; below 0: not calibrated yet

  const float* clip_of(const ParameterMemory& memory) const {
    return clip < 0 ? nullptr : memory.values[static_cast<std::size_t>(clip)].as<float>();
  }
  float* d_clip_of(const ParameterMemory& memory) const {
    return clip < 0 ? nullptr : memory.gradients[static_cast<std::size_t>(clip)];
  }
  /// What the gradient of an LSQ ceiling is multiplied with, so that the ceiling moves as the step of LSQ, a fraction
  /// of 2^k - 1 of it, moves with LSQ's factor 1 / sqrt(numbers of an image times (2^k - 1)). `y`: [N, ...].
  float clip_gain(const Shape& y) const;
  /// Whether training finds max|y|.
  bool takes_maximum() const { return act_bits > 0 && activation != Activation::lsq; }
  /// The fixed S of a forward pass; null where S is max|y|.
  const float* fixed_scale(const ForwardPass& pass) const {
    if (activation == Activation::lsq) return clip_of(pass.parameters);
    const bool is_fixed = act_scale >= 0 && pass.act_scale == ActScale::calibrated && !pass.training;
    return is_fixed ? pass.parameters.states[static_cast<std::size_t>(act_scale)] : nullptr;
  }
  std::optional<OutputQuantizer> quantizer() const {
    if (act_bits == 0) return std::nullopt;
    return OutputQuantizer{name, act_bits, act_scale, activation == Activation::lsq ? clip : -1};
  }
};

/// The states of the ranges that an operation rounds numbers to (NormActRanges); -1: it does not.
struct RangeStates {
  StateId term = -1;
  StateId shortcut = -1;
  StateId y = -1;

  NormActRanges of(const ForwardPass& pass) const {
    const auto range = [&](StateId id) -> const float* {
      return id >= 0 && pass.rounds_to_ranges ? pass.parameters.states[static_cast<std::size_t>(id)] : nullptr;
    };
    return {range(term), range(shortcut), range(y)};
  }
  /// The term is of input 0, `has_affine`: after a norm or a bias; the shortcut is input 1.
  std::vector<RoundedNumbers> rounded(bool has_affine) const;
};

/// Reads `quantized`, `activation` and `activation_name`; `otherwise`: the activation that is not quantized.
ActivationPart read_activation(const LayerRequest& request, NodeOptions& options, const std::string& otherwise);
/// Adds its parameter and its state to the network: after those of the layer.
void add_activation(const LayerRequest& request, ActivationPart& part);
/// Adds the state of a range, <node>[.part].range, if numbers are to be rounded to ranges; else a file may have it.
StateId add_range(const LayerRequest& request, const std::string& part = "");

}  // namespace bsq
