#include "engine/network/layers/activation.h"

#include "engine/network/layer_kinds.h"

#include <cmath>

namespace bsq {
namespace {

constexpr float kInitialPactClip = 10.0F;  // before training
constexpr float kInitialLsqClip = 6.0F;    // until the first images have been seen
constexpr float kNotCalibrated = -1.0F;    // of ranges as well

Activation activation_of(const std::string& name, const Quantizer& quantizer) {
  for (const Activation activation : kActivations)
    if (name == name_of(activation)) return activation;
  const bool is_relu6 = name == "configured_relu6" && quantizer.activation == Activation::relu;
  return is_relu6 ? Activation::relu6 : quantizer.activation;
}

}  // namespace

ActivationPart read_activation(const LayerRequest& request, NodeOptions& options, const std::string& otherwise) {
  const bool quantized = options.flag("quantized", false);
  const std::string name =
      options.one_of("activation", {"none", "relu", "relu6", "pact", "lsq", "configured", "configured_relu6"},
                     quantized ? "configured" : otherwise);
  if (quantized && name == "none") options.refuse("quantized", "needs an activation");
  if (!quantized && name == "lsq") options.refuse("activation", "lsq is a quantizer, and quantized is not true");
  ActivationPart part{.activation = activation_of(name, request.quantizer),
                      .act_bits = quantized ? request.quantizer.act_bits : 0,
                      .name = options.name("activation_name", request.node.name + ".act")};
  if (part.activation == Activation::lsq && part.act_bits == 0) part.activation = Activation::relu;
  if (part.activation == Activation::none) part.name.clear();
  return part;
}

float ActivationPart::clip_gain(const Shape& y) const {
  if (activation != Activation::lsq) return 1;
  const double levels = (1 << act_bits) - 1, numbers_of_image = static_cast<double>(y.numel() / y[0]);
  return static_cast<float>(levels * std::sqrt(levels / numbers_of_image));
}

std::vector<RoundedNumbers> RangeStates::rounded(bool has_affine) const {
  std::vector<RoundedNumbers> numbers;
  if (term >= 0) numbers.push_back({term, 0, has_affine});
  if (shortcut >= 0) numbers.push_back({shortcut, 1});
  if (y >= 0) numbers.push_back({y});
  return numbers;
}

StateId add_range(const LayerRequest& request, const std::string& part) {
  const std::string name = request.node.name + part + ".range";
  constexpr std::int64_t kLowAndHigh = 2;
  if (request.quantizer.rounds_to_ranges)
    return request.network.add_state({name, kLowAndHigh, kNotCalibrated, Role::value_range, true});
  request.network.add_unused(name);
  return -1;
}

void add_activation(const LayerRequest& request, ActivationPart& part) {
  if (part.activation == Activation::none) return;
  Network& network = request.network;
  const std::string pact = part.name + ".alpha", lsq = part.name + ".ceiling", act_scale = part.name + ".act_scale";
  if (part.activation == Activation::pact)
    part.clip = network.add_parameter(
        {.name = pact, .shape = {1}, .constant = kInitialPactClip, .role = Role::clip, .optional = true});
  if (part.activation == Activation::lsq)
    part.clip = network.add_parameter(
        {.name = lsq, .shape = {1}, .constant = kInitialLsqClip, .role = Role::lsq_clip, .optional = true});
  if (request.quantizer.static_scales && part.act_bits > 0 && part.activation != Activation::lsq)
    part.act_scale = network.add_state({act_scale, 1, kNotCalibrated, Role::act_scale, true});
  for (const std::string& other : {pact, lsq, act_scale}) network.add_unused(other);
}

}  // namespace bsq
