// What families of networks write their nodes with: one line per layer of the published code.
#pragma once

#include "engine/network/network_spec.h"

#include <string>
#include <vector>

namespace bsq {

/// How weights of a layer take part in quantization.
enum class WeightRole {
  quantized,   // in bit planes
  projection,  // a convolution of a shortcut: float unless projections are asked for
};

/// Where a convolution has its bias.
enum class ConvBias {
  none,
  quantized,    // in bit planes, like the weights
  before_norm,  // float: a norm takes it out again, it only moves the running mean
};

struct ConvOptions {
  int out = 0;
  int kernel = 3;
  int stride = 1;
  int groups = 1;
  WeightRole role = WeightRole::quantized;
  ConvBias bias = ConvBias::none;
  bool torch_initializer = false;  // U(+-1/sqrt(fan in)) for weights and bias; else N(0, sqrt(2 / (k k out))) and 0
};

/// What follows a norm, a sum or a bias.
enum class NodeActivation {
  none,
  float_relu,   // a ReLU that is not quantized: the stem's
  quantized,    // the activation of the stage (a ReLU in float training), then the quantizer
  quantized_6,  // likewise, of a network whose float training has ReLU6
};

class SpecBuilder {
 public:
  /// image: [H, W, 3].
  SpecBuilder(const std::string& name, const nlohmann::ordered_json& settings, const Shape& image);

  /// Each adds a node and returns its name. `activation_name`: PyTorch's module, which names the activation's tensors.
  std::string conv(const std::string& name, const std::string& input, const ConvOptions& options);
  std::string norm(const std::string& name, const std::vector<std::string>& inputs, NodeActivation activation,
                   const std::string& activation_name = "");
  /// The bias that a convolution has left, or nothing, plus perhaps a second input; then the activation.
  std::string bias_act(const std::string& name, const std::vector<std::string>& inputs, NodeActivation activation,
                       const std::string& activation_name = "");
  std::string add(const std::string& name, const std::string& layer, const std::vector<std::string>& inputs,
                  const nlohmann::ordered_json& options = nlohmann::ordered_json::object());
  /// The classifier; options beside `out`.
  void classifier(const std::string& name, const std::string& input, int classes,
                  const nlohmann::ordered_json& options = nlohmann::ordered_json::object());

  NetworkSpec take() { return std::move(spec_); }

 private:
  std::string activated(const std::string& name, const char* layer, const std::vector<std::string>& inputs,
                        NodeActivation activation, const std::string& activation_name);

  NetworkSpec spec_;
};

}  // namespace bsq
