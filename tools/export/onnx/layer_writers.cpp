// Kind by kind: convolution, norm or sum with its activation and quantizer, pooling, classifier.
#include "tools/export/onnx/layer_writers.h"

#include "engine/network/layers/average_pool.h"
#include "engine/network/layers/bias_act.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/linear.h"
#include "engine/network/layers/max_pool.h"
#include "engine/network/layers/norm_act.h"
#include "engine/network/layers/quantize.h"
#include "kernels/base/error.h"
#include "tools/export/onnx/graph_writer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace bsq {
namespace {

using InputNames = std::vector<std::string>;

constexpr float kRelu6Ceiling = 6.0F;
/// Takes the place of a maximum of 0, so that nothing is divided by 0; every level is 0 then.
constexpr float kLeastMaximum = 1e-30F;

std::vector<std::int64_t> both(std::int64_t value) {
  return {value, value};
}

std::string write_convolution(GraphWriter& writer, const Node& node, const InputNames& inputs) {
  const auto& conv = static_cast<const Conv2d&>(*node.layer);
  const Conv2dOptions& options = conv.options();
  std::map<std::string, OnnxAttribute> attributes = {{"kernel_shape", both(options.kernel)},
                                                     {"strides", both(options.stride)},
                                                     {"pads", std::vector<std::int64_t>(4, options.padding)}};
  if (options.groups > 1) attributes["group"] = std::int64_t{options.groups};
  InputNames operands = {inputs[0], writer.parameter(conv.weight())};
  if (const std::optional<ParameterId> bias = conv.output_bias()) operands.push_back(writer.parameter(*bias));
  return writer.add("Conv", node.name, operands, attributes);
}

std::string write_linear(GraphWriter& writer, const Node& node, const InputNames& inputs) {
  const auto& linear = dynamic_cast<const Linear&>(*node.layer);
  const std::string weight = writer.parameter(linear.weight()), bias = writer.parameter(linear.bias());
  return writer.add("Gemm", node.name, {inputs[0], weight, bias}, {{"transB", std::int64_t{1}}});
}

std::string write_concat(GraphWriter& writer, const Node& node, const InputNames& inputs) {
  return writer.add("Concat", node.name, inputs, {{"axis", std::int64_t{1}}});
}

/// Nothing: a deployed model drops nothing.
std::string write_dropout(GraphWriter& /*writer*/, const Node& /*node*/, const InputNames& inputs) {
  return inputs[0];
}

/// Windows that reach beyond the image reach into padding here, of which no maximum is made either: runtimes differ in
/// what ceil_mode means.
std::string write_max_pool(GraphWriter& writer, const Node& node, const InputNames& inputs) {
  const auto& pool = dynamic_cast<const MaxPool&>(*node.layer);
  const MaxPoolGeometry g = pool.geometry(writer.shape_of(node.inputs[0]), DType::f32);
  const auto at_end = [&](int windows, int size) {
    return std::max<std::int64_t>((windows - 1) * g.stride + g.kernel - size - g.padding, 0);
  };
  return writer.add("MaxPool", node.name, inputs,
                    {{"kernel_shape", both(g.kernel)},
                     {"strides", both(g.stride)},
                     {"pads", std::vector<std::int64_t>{g.padding, g.padding, at_end(g.out_height, g.height),
                                                        at_end(g.out_width, g.width)}}});
}

/// ONNX has windows of one size only.
std::string write_window_average(GraphWriter& writer, const Node& node, const InputNames& inputs,
                                 const AveragePoolOptions& options) {
  const Shape& image = writer.shape_of(node.inputs[0]);
  std::vector<std::int64_t> window = both(options.kernel);
  if (options.out > 0) {
    if (image[1] % options.out != 0 || image[2] % options.out != 0)
      fail(ErrorKind::usage,
           "{}: {} makes {}x{} windows of an image of {}x{}: they differ in size, which ONNX does not have",
           writer.file_name(), node.name, options.out, options.out, image[1], image[2]);
    window = {image[1] / options.out, image[2] / options.out};
  }
  return writer.add("AveragePool", node.name, inputs, {{"kernel_shape", window}, {"strides", window}});
}

std::string write_flatten(GraphWriter& writer, const Node& node, const InputNames& inputs) {
  return writer.add("Flatten", node.name, inputs, {{"axis", std::int64_t{1}}});
}

std::string write_average_pool(GraphWriter& writer, const Node& node, const InputNames& inputs) {
  const AveragePoolOptions& options = dynamic_cast<const AveragePool&>(*node.layer).options();
  if (!options.is_global()) return write_window_average(writer, node, inputs, options);
  const std::string pooled = writer.add("GlobalAveragePool", node.name, inputs);
  return writer.add("Flatten", node.name + ".flat", {pooled}, {{"axis", std::int64_t{1}}});
}

/// The engine's arithmetic: S = max y; round(y (levels / S)) (S / levels).
std::string write_batch_quantizer(GraphWriter& writer, const ActivationPart& activation, const std::string& y) {
  const std::string& name = activation.name;
  const int levels = (1 << activation.act_bits) - 1;
  const std::string level_count = writer.number(fmt::format("levels_{}", levels), static_cast<float>(levels));
  const std::string largest = writer.add("ReduceMax", name + ".max", {y}, {{"keepdims", std::int64_t{0}}});
  const std::string least = writer.number("least_maximum", kLeastMaximum);
  const std::string maximum = writer.add("Max", name + ".maximum", {largest, least});
  const std::string unit = writer.add("Div", name + ".unit", {maximum, level_count});
  if (writer.is_qonnx())
    return writer.add_int_quant(name + ".round", y, unit, activation.act_bits, /*is_signed=*/false,
                                /*is_narrow=*/false);
  const std::string per_unit = writer.add("Div", name + ".per_unit", {level_count, maximum});
  const std::string scaled = writer.add("Mul", name + ".scaled", {y, per_unit});
  const std::string rounded = writer.add("Round", name + ".round", {scaled});
  return writer.add("Mul", name + ".quantized", {rounded, unit});
}

std::string write_fixed_quantizer(GraphWriter& writer, const ActivationPart& activation, const std::string& y,
                                  float act_scale) {
  const std::string& name = activation.name;
  const float unit = std::max(act_scale, kLeastMaximum) / static_cast<float>((1 << activation.act_bits) - 1);
  const std::string unit_name = writer.number(name + ".unit", unit);
  if (writer.is_qonnx())
    return writer.add_int_quant(name + ".round", y, unit_name, activation.act_bits, /*is_signed=*/false,
                                /*is_narrow=*/false);
  const std::string zero = writer.zero_point(level_type_of(activation.act_bits));
  const std::string rounded = writer.add("QuantizeLinear", name + ".round", {y, unit_name, zero});
  return writer.add("DequantizeLinear", name + ".quantized", {rounded, unit_name, zero});
}

/// The number in place of the batch's maximum, where the network has one.
std::optional<float> act_scale_of(const GraphWriter& writer, const ActivationPart& activation) {
  if (activation.activation == Activation::lsq) return writer.number_of(activation.clip);
  if (activation.act_scale < 0) return std::nullopt;
  const float value = writer.number_of_state(activation.act_scale);
  if (!(value >= 0))
    fail(ErrorKind::usage, "{}: {} is {}, which is no scale; is it calibrated?", writer.file_name(),
         writer.state_name(activation.act_scale), value);
  return value;
}

std::string write_activation(GraphWriter& writer, const ActivationPart& activation, const std::string& x) {
  const std::string& name = activation.name;
  if (activation.activation == Activation::none) {
    require(activation.act_bits == 0, "{}: quantized without an activation", name);
    return x;
  }
  const std::optional<float> act_scale = act_scale_of(writer, activation);
  float ceiling = std::numeric_limits<float>::infinity();
  if (activation.activation == Activation::relu6) ceiling = kRelu6Ceiling;
  if (activation.activation == Activation::pact) ceiling = writer.number_of(activation.clip);
  if (act_scale) ceiling = std::min(ceiling, *act_scale);
  const std::string y =
      std::isinf(ceiling)
          ? writer.add("Relu", name, {x})
          : writer.add("Clip", name, {x, writer.number("zero", 0), writer.number(name + ".ceiling", ceiling)});
  if (activation.act_bits == 0) return y;
  return act_scale ? write_fixed_quantizer(writer, activation, y, *act_scale)
                   : write_batch_quantizer(writer, activation, y);
}

std::string write_norm(GraphWriter& writer, const Node& node, const InputNames& inputs) {
  const auto& norm = dynamic_cast<const NormAct&>(*node.layer);
  const NormActParameters& ids = norm.ids();
  std::string x = writer.add("BatchNormalization", node.name,
                             {inputs[0], writer.parameter(ids.gamma), writer.parameter(ids.beta),
                              writer.state(ids.running_mean), writer.state(ids.running_var)},
                             {{"epsilon", norm.options().epsilon}});
  if (inputs.size() == 2) x = writer.add("Add", node.name + ".sum", {x, inputs[1]});
  return write_activation(writer, norm.activation(), x);
}

/// The bias is that of the Conv before it.
std::string write_bias_act(GraphWriter& writer, const Node& node, const InputNames& inputs) {
  const auto& bias_act = dynamic_cast<const BiasAct&>(*node.layer);
  const std::string x = inputs.size() == 2 ? writer.add("Add", node.name + ".sum", inputs) : inputs[0];
  return write_activation(writer, bias_act.options().activation, x);
}

/// Levels from an offset on, which is no whole number of steps: QuantizeLinear has no zero point for it.
std::string write_quantize(GraphWriter& writer, const Node& node, const InputNames& inputs) {
  const QuantizeOptions& options = dynamic_cast<const Quantize&>(*node.layer).options();
  const std::string& name = node.name;
  const int levels = (1 << options.bits) - 1;
  const std::string step = writer.number(name + ".step", writer.number_of(options.step));
  const std::string offset = writer.number(name + ".offset", writer.number_of(options.offset));
  const std::string most = writer.number(fmt::format("levels_{}", levels), static_cast<float>(levels));
  const std::string above = writer.add("Sub", name + ".above", {inputs[0], offset});
  const std::string place = writer.add("Div", name + ".place", {above, step});
  const std::string clipped = writer.add("Clip", name + ".clip", {place, writer.number("zero", 0), most});
  const std::string level = writer.add("Round", name + ".round", {clipped});
  const std::string scaled = writer.add("Mul", name + ".scaled", {level, step});
  return writer.add("Add", name + ".quantized", {scaled, offset});
}

constexpr std::array kLayers = {
    OnnxLayer{"conv2d", write_convolution},
    OnnxLayer{"norm_act", write_norm},
    OnnxLayer{"bias_act", write_bias_act},
    OnnxLayer{"concat", write_concat},
    OnnxLayer{"dropout", write_dropout},
    OnnxLayer{"max_pool", write_max_pool},
    OnnxLayer{"average_pool", write_average_pool},
    OnnxLayer{"flatten", write_flatten},
    OnnxLayer{"linear", write_linear},
    OnnxLayer{"quantize", write_quantize},
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
