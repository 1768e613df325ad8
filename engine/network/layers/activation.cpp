#include "engine/network/layers/activation.h"

#include "engine/network/layer_kinds.h"

namespace bsq {
namespace {

constexpr float kInitialClip = 10.0F;    // PACT's ceiling before training
constexpr float kNotCalibrated = -1.0F;  // of ranges as well

Activation activation_of(const std::string& name, const Quantizer& quantizer) {
  for (const Activation activation : {Activation::none, Activation::relu, Activation::relu6, Activation::pact})
    if (name == name_of(activation)) return activation;
  const bool is_relu6 = name == "configured_relu6" && quantizer.activation == Activation::relu;
  return is_relu6 ? Activation::relu6 : quantizer.activation;
}

}  // namespace

ActivationPart read_activation(const LayerRequest& request, NodeOptions& options, const std::string& otherwise) {
  const bool quantized = options.flag("quantized", false);
  const std::string name =
      options.one_of("activation", {"none", "relu", "relu6", "pact", "configured", "configured_relu6"},
                     quantized ? "configured" : otherwise);
  if (quantized && name == "none") options.refuse("quantized", "needs an activation");
  ActivationPart part{.activation = activation_of(name, request.quantizer),
                      .act_bits = quantized ? request.quantizer.act_bits : 0,
                      .name = options.name("activation_name", request.node.name + ".act")};
  if (part.activation == Activation::none) part.name.clear();
  return part;
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
  const std::string clip = part.name + ".alpha", act_scale = part.name + ".act_scale";
  if (part.activation == Activation::pact)
    part.clip = network.add_parameter(
        {.name = clip, .shape = {1}, .constant = kInitialClip, .role = Role::clip, .optional = true});
  if (request.quantizer.static_scales && part.act_bits > 0)
    part.act_scale = network.add_state({act_scale, 1, kNotCalibrated, Role::act_scale, true});
  for (const std::string& other : {clip, act_scale}) network.add_unused(other);
}

}  // namespace bsq
