// Kind by kind: convolution, norm with its activation and quantizer, pooling, classifier.
#include "tools/export/onnx/layer_writers.h"

#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/linear.h"
#include "engine/network/layers/norm_act.h"
#include "kernels/base/error.h"
#include "tools/export/onnx/graph_writer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace bsq {
namespace {

using Inputs = std::vector<std::string>;

constexpr float kRelu6Ceiling = 6.0F;
/// Takes the place of a maximum of 0, so that nothing is divided by 0; every level is 0 then.
constexpr float kLeastMaximum = 1e-30F;

std::string write_convolution(GraphWriter& writer, const Node& node, const Inputs& inputs) {
  const auto& conv = static_cast<const Conv2d&>(*node.layer);
  const Conv2dOptions& options = conv.options();
  const auto both = [](int value) { return std::vector<std::int64_t>{value, value}; };
  return writer.add("Conv", node.name, {inputs[0], writer.parameter(conv.weight())},
                    {{"kernel_shape", both(options.kernel)},
                     {"strides", both(options.stride)},
                     {"pads", std::vector<std::int64_t>(4, options.padding)}});
}

std::string write_linear(GraphWriter& writer, const Node& node, const Inputs& inputs) {
  const auto& linear = static_cast<const Linear&>(*node.layer);
  const std::string weight = writer.parameter(linear.weight()), bias = writer.parameter(linear.bias());
  return writer.add("Gemm", node.name, {inputs[0], weight, bias}, {{"transB", std::int64_t{1}}});
}

std::string write_average_pool(GraphWriter& writer, const Node& node, const Inputs& inputs) {
  const std::string pooled = writer.add("GlobalAveragePool", node.name, inputs);
  return writer.add("Flatten", node.name + ".flat", {pooled}, {{"axis", std::int64_t{1}}});
}

/// The engine's arithmetic: S = max y; round(y (levels / S)) (S / levels).
std::string write_batch_quantizer(GraphWriter& writer, const NormActOptions& options, const std::string& y) {
  const std::string& name = options.activation_name;
  const int levels = (1 << options.act_bits) - 1;
  const std::string level_count = writer.number(fmt::format("levels_{}", levels), static_cast<float>(levels));
  const std::string largest = writer.add("ReduceMax", name + ".max", {y}, {{"keepdims", std::int64_t{0}}});
  const std::string least = writer.number("least_maximum", kLeastMaximum);
  const std::string maximum = writer.add("Max", name + ".maximum", {largest, least});
  const std::string unit = writer.add("Div", name + ".unit", {maximum, level_count});
  if (writer.is_qonnx()) return writer.add_int_quant(name + ".round", y, unit, options.act_bits, /*is_signed=*/false);
  const std::string per_unit = writer.add("Div", name + ".per_unit", {level_count, maximum});
  const std::string scaled = writer.add("Mul", name + ".scaled", {y, per_unit});
  const std::string rounded = writer.add("Round", name + ".round", {scaled});
  return writer.add("Mul", name + ".quantized", {rounded, unit});
}

std::string write_fixed_quantizer(GraphWriter& writer, const NormActOptions& options, const std::string& y,
                                  float act_scale) {
  const std::string& name = options.activation_name;
  const float unit = std::max(act_scale, kLeastMaximum) / static_cast<float>((1 << options.act_bits) - 1);
  const std::string unit_name = writer.number(name + ".unit", unit);
  if (writer.is_qonnx())
    return writer.add_int_quant(name + ".round", y, unit_name, options.act_bits, /*is_signed=*/false);
  const std::string zero = writer.zero_point();
  const std::string rounded = writer.add("QuantizeLinear", name + ".round", {y, unit_name, zero});
  return writer.add("DequantizeLinear", name + ".quantized", {rounded, unit_name, zero});
}

/// The calibrated scale of a quantizer, if the network has one.
std::optional<float> act_scale_of(const GraphWriter& writer, const NormAct& norm) {
  if (norm.act_scale() < 0) return std::nullopt;
  const float value = writer.number_of_state(norm.act_scale());
  if (!(value >= 0))
    fail(ErrorKind::usage, "{}: {} is {}, which is no scale; is it calibrated?", writer.file_name(),
         writer.state_name(norm.act_scale()), value);
  return value;
}

std::string write_activation(GraphWriter& writer, const NormAct& norm, const std::string& x) {
  const NormActOptions& options = norm.options();
  const std::string& name = options.activation_name;
  if (options.activation == Activation::none) {
    require(options.act_bits == 0, "{}: quantized without an activation", name);
    return x;
  }
  const std::optional<float> act_scale = act_scale_of(writer, norm);
  float ceiling = std::numeric_limits<float>::infinity();
  if (options.activation == Activation::relu6) ceiling = kRelu6Ceiling;
  if (options.activation == Activation::pact) ceiling = writer.number_of(norm.ids().clip);
  if (act_scale) ceiling = std::min(ceiling, *act_scale);
  const std::string y =
      std::isinf(ceiling)
          ? writer.add("Relu", name, {x})
          : writer.add("Clip", name, {x, writer.number("zero", 0), writer.number(name + ".ceiling", ceiling)});
  if (options.act_bits == 0) return y;
  return act_scale ? write_fixed_quantizer(writer, options, y, *act_scale) : write_batch_quantizer(writer, options, y);
}

std::string write_norm(GraphWriter& writer, const Node& node, const Inputs& inputs) {
  const auto& norm = static_cast<const NormAct&>(*node.layer);
  const NormActParameters& ids = norm.ids();
  std::string x = writer.add("BatchNormalization", node.name,
                             {inputs[0], writer.parameter(ids.gamma), writer.parameter(ids.beta),
                              writer.state(ids.running_mean), writer.state(ids.running_var)},
                             {{"epsilon", NormActRule{}.epsilon}});
  if (inputs.size() == 2) x = writer.add("Add", node.name + ".sum", {x, inputs[1]});
  return write_activation(writer, norm, x);
}

constexpr std::array kLayers = {
    OnnxLayer{"conv2d", write_convolution},
    OnnxLayer{"norm_act", write_norm},
    OnnxLayer{"average_pool", write_average_pool},
    OnnxLayer{"linear", write_linear},
};

}  // namespace

const OnnxLayer& onnx_layer(const Node& node) {
  const std::string_view kind = node.layer->kind();
  const auto* found =
      std::find_if(kLayers.begin(), kLayers.end(), [&](const OnnxLayer& layer) { return kind == layer.kind; });
  require(found != kLayers.end(), "{}: a layer of kind {} has no form in ONNX", node.name, kind);
  return *found;
}

}  // namespace bsq
