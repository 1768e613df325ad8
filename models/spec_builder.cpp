// Nodes with the options that are not the default ones.
#include "models/spec_builder.h"

namespace bsq {

using nlohmann::ordered_json;

SpecBuilder::SpecBuilder(const std::string& name, const ordered_json& settings, const Shape& image) {
  spec_.name = name;
  spec_.settings = settings;
  spec_.image = image;
}

std::string SpecBuilder::conv(const std::string& name, const std::string& input, const ConvOptions& options) {
  ordered_json json = {{"out", options.out}};
  if (options.kernel != 3) json["kernel"] = options.kernel;
  if (options.groups != 1) json["groups"] = options.groups;
  if (options.bias != ConvBias::none) json["bias"] = true;
  if (options.role == WeightRole::projection) json["projection"] = true;
  if (options.role == WeightRole::quantized) json["quantized"] = true;
  if (options.bias == ConvBias::before_norm) json["bias_quantized"] = false;
  if (options.torch_initializer) json["initializer"] = "torch_default";
  if (options.stride != 1) json["stride"] = options.stride;
  return add(name, "conv2d", {input}, json);
}

std::string SpecBuilder::norm(const std::string& name, const std::vector<std::string>& inputs,
                              NodeActivation activation, const std::string& activation_name) {
  return activated(name, "norm_act", inputs, activation, activation_name);
}

std::string SpecBuilder::bias_act(const std::string& name, const std::vector<std::string>& inputs,
                                  NodeActivation activation, const std::string& activation_name) {
  return activated(name, "bias_act", inputs, activation, activation_name);
}

std::string SpecBuilder::activated(const std::string& name, const char* layer, const std::vector<std::string>& inputs,
                                   NodeActivation activation, const std::string& activation_name) {
  ordered_json json = ordered_json::object();
  const bool quantized = activation == NodeActivation::quantized || activation == NodeActivation::quantized_6;
  if (quantized) json["quantized"] = true;
  if (activation == NodeActivation::none) json["activation"] = "none";
  if (activation == NodeActivation::float_relu) json["activation"] = "relu";
  if (activation == NodeActivation::quantized_6) json["activation"] = "configured_relu6";
  if (!activation_name.empty()) json["activation_name"] = activation_name;
  return add(name, layer, inputs, json);
}

std::string SpecBuilder::add(const std::string& name, const std::string& layer, const std::vector<std::string>& inputs,
                             const ordered_json& options) {
  spec_.nodes.push_back({name, layer, inputs, options});
  return name;
}

void SpecBuilder::classifier(const std::string& name, const std::string& input, int classes,
                             const ordered_json& options) {
  ordered_json json = {{"out", classes}, {"quantized", true}};
  json.update(options);
  add(name, "linear", {input}, json);
}

}  // namespace bsq
