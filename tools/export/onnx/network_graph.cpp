// Node by node: convolution, norm with its activation and quantizer, pooling, classifier.
#include "tools/export/onnx/network_graph.h"

#include "engine/model/integer_tensors.h"
#include "engine/model/tensor_names.h"
#include "engine/model/weight_store.h"
#include "engine/network/layers/average_pool.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/linear.h"
#include "engine/network/layers/norm_act.h"
#include "kernels/base/error.h"
#include "tools/export/formats.h"

#include <algorithm>
#include <limits>
#include <set>

namespace bsq {
namespace {

constexpr const char* kQonnxDomain = "qonnx.custom_op.general";
constexpr int kInt4Opset = 21;  // INT16 in DequantizeLinear came with it
constexpr int kInt2Opset = 25;
constexpr float kRelu6Ceiling = 6.0F;
/// Takes the place of a maximum of 0, so that nothing is divided by 0; every level is 0 then.
constexpr float kLeastMaximum = 1e-30F;

int ir_version_of(int opset) {
  constexpr std::pair<int, int> first_opset_of[] = {{25, 13}, {24, 12}, {23, 11}, {21, 10}, {19, 9}, {15, 8}};
  for (const auto& [first, version] : first_opset_of)
    if (opset >= first) return version;
  return 7;
}

int opset_for(int bits, bool int8_at_least) {
  const bool fits_int8 = bits == 0 || (4 <= bits && bits <= 7) || (bits < 4 && int8_at_least);
  return fits_int8 ? kLeastOpset : kInt4Opset;
}

int chosen_opset(const std::vector<IntegerTensor>& weights, const OnnxOptions& options) {
  int needed = kLeastOpset;
  for (const IntegerTensor& tensor : weights) {
    const int opset = options.qonnx ? kLeastOpset : opset_for(tensor.bits, options.int8_at_least);
    if (options.opset && *options.opset < opset)
      fail(ErrorKind::usage, "--opset {}: {} has {} bits, and ONNX has {} from opset {} on; {}", *options.opset,
           tensor.name, tensor.bits, name_of(container_of(tensor.bits, opset, options.int8_at_least)), opset,
           tensor.bits < 4 ? "leave out --opset, or give --min-container int8" : "leave out --opset");
    needed = std::max(needed, opset);
  }
  return options.opset.value_or(needed);
}

class GraphBuilder {
 public:
  GraphBuilder(const Network& network, const TensorFile& file, const StoredWeights& weights, const OnnxOptions& options)
      : network_(network), file_(file), options_(options) {
    if (weights.is_quantized())
      integers_ = integer_weights(weights, lay_out(network.parameters(), ParameterGroup::quantized));
    opset_ = chosen_opset(integers_, options);
  }

  OnnxModel build() {
    model_.ir_version = ir_version_of(opset_);
    model_.opsets[""] = opset_;
    if (options_.qonnx) model_.opsets[kQonnxDomain] = 1;
    const Shape& image = network_.image();
    model_.input = {"images", {"N", image[2], image[0], image[1]}};
    tensor_names_ = {model_.input.name};
    for (const Node& node : network_.nodes()) {
      inputs_.clear();
      for (const TensorId input : node.inputs) inputs_.push_back(tensor_names_[static_cast<std::size_t>(input)]);
      tensor_names_.push_back(add_layer(node));
    }
    require(!model_.nodes.empty(), "a network without nodes");
    model_.nodes.back().outputs = {"logits"};
    model_.output = {"logits", {"N", network_.tensors(1, DType::f32).back().shape[1]}};
    return std::move(model_);
  }

 private:
  std::string add_layer(const Node& node) {
    if (const auto* conv = dynamic_cast<const Conv2d*>(node.layer.get())) return add_convolution(node, *conv);
    if (const auto* norm = dynamic_cast<const NormAct*>(node.layer.get())) return add_norm(node, *norm);
    if (const auto* linear = dynamic_cast<const Linear*>(node.layer.get())) return add_linear(node, *linear);
    if (dynamic_cast<const AveragePool*>(node.layer.get()) != nullptr) {
      const std::string pooled = add("GlobalAveragePool", node.name, inputs_);
      return add("Flatten", node.name + ".flat", {pooled}, {{"axis", std::int64_t{1}}});
    }
    fail(ErrorKind::internal, "{}: a layer of kind {} has no form in ONNX", node.name, node.layer->kind());
  }

  std::string add_convolution(const Node& node, const Conv2d& conv) {
    const Conv2dOptions& options = conv.options();
    const auto both = [](int value) { return std::vector<std::int64_t>{value, value}; };
    return add("Conv", node.name, {inputs_[0], parameter(conv.weight())},
               {{"kernel_shape", both(options.kernel)},
                {"strides", both(options.stride)},
                {"pads", std::vector<std::int64_t>(4, options.padding)}});
  }

  std::string add_linear(const Node& node, const Linear& linear) {
    return add("Gemm", node.name, {inputs_[0], parameter(linear.weight()), parameter(linear.bias())},
               {{"transB", std::int64_t{1}}});
  }

  std::string add_norm(const Node& node, const NormAct& norm) {
    const NormActParameters& ids = norm.ids();
    std::string x =
        add("BatchNormalization", node.name,
            {inputs_[0], parameter(ids.gamma), parameter(ids.beta), state(ids.running_mean), state(ids.running_var)},
            {{"epsilon", NormActRule{}.epsilon}});
    if (inputs_.size() == 2) x = add("Add", node.name + ".sum", {x, inputs_[1]});
    return add_activation(norm, x);
  }

  std::string add_activation(const NormAct& norm, const std::string& x) {
    const NormActOptions& options = norm.options();
    const std::string& name = options.activation_name;
    if (options.activation == Activation::none) {
      require(options.act_bits == 0, "{}: quantized without an activation", name);
      return x;
    }
    const std::optional<float> act_scale = act_scale_of(norm);
    float ceiling = std::numeric_limits<float>::infinity();
    if (options.activation == Activation::relu6) ceiling = kRelu6Ceiling;
    if (options.activation == Activation::pact) ceiling = clip_of(norm);
    if (act_scale) ceiling = std::min(ceiling, *act_scale);
    const std::string y = std::isinf(ceiling)
                              ? add("Relu", name, {x})
                              : add("Clip", name, {x, number("zero", 0), number(name + ".ceiling", ceiling)});
    if (options.act_bits == 0) return y;
    return act_scale ? add_fixed_quantizer(options, y, *act_scale) : add_batch_quantizer(options, y);
  }

  /// The engine's arithmetic: S = max y; round(y (levels / S)) (S / levels).
  std::string add_batch_quantizer(const NormActOptions& options, const std::string& y) {
    const std::string& name = options.activation_name;
    const int levels = (1 << options.act_bits) - 1;
    const std::string level_count = number(fmt::format("levels_{}", levels), static_cast<float>(levels));
    const std::string largest = add("ReduceMax", name + ".max", {y}, {{"keepdims", std::int64_t{0}}});
    const std::string maximum = add("Max", name + ".maximum", {largest, number("least_maximum", kLeastMaximum)});
    const std::string unit = add("Div", name + ".unit", {maximum, level_count});
    if (options_.qonnx) return add_int_quant(name + ".round", y, unit, options.act_bits, /*is_signed=*/false);
    const std::string per_unit = add("Div", name + ".per_unit", {level_count, maximum});
    const std::string scaled = add("Mul", name + ".scaled", {y, per_unit});
    const std::string rounded = add("Round", name + ".round", {scaled});
    return add("Mul", name + ".quantized", {rounded, unit});
  }

  std::string add_fixed_quantizer(const NormActOptions& options, const std::string& y, float act_scale) {
    const std::string& name = options.activation_name;
    const float unit = std::max(act_scale, kLeastMaximum) / static_cast<float>((1 << options.act_bits) - 1);
    const std::string unit_name = number(name + ".unit", unit);
    if (options_.qonnx) return add_int_quant(name + ".round", y, unit_name, options.act_bits, /*is_signed=*/false);
    if (zero_point_.empty()) {
      zero_point_ = "zero_uint8";
      model_.initializers.push_back({zero_point_, OnnxType::uint8, {}, std::string(1, '\0')});
    }
    const std::string rounded = add("QuantizeLinear", name + ".round", {y, unit_name, zero_point_});
    return add("DequantizeLinear", name + ".quantized", {rounded, unit_name, zero_point_});
  }

  std::string add_int_quant(const std::string& name, const std::string& x, const std::string& unit, int bits,
                            bool is_signed) {
    const std::int64_t flag = is_signed ? 1 : 0;  // narrow: a signed range without its lowest number
    add("IntQuant", name, {x, unit, number("zero", 0), number(fmt::format("bits_{}", bits), static_cast<float>(bits))},
        {{"signed", flag}, {"narrow", flag}, {"rounding_mode", std::string("ROUND")}});
    model_.nodes.back().domain = kQonnxDomain;
    return name;
  }

  /// The number in place of the batch's maximum, where the network has one.
  std::optional<float> act_scale_of(const NormAct& norm) const {
    if (norm.act_scale() < 0) return std::nullopt;
    const std::string& name = network_.states()[static_cast<std::size_t>(norm.act_scale())].name;
    const float value = read_number(file_, name);
    if (!(value >= 0))
      fail(ErrorKind::usage, "{}: {} is {}, which is no scale; is it calibrated?", file_.path.string(), name, value);
    return value;
  }

  float clip_of(const NormAct& norm) const {
    const ParameterSpec& spec = network_.parameters()[static_cast<std::size_t>(norm.ids().clip)];
    return file_.find(spec.name) == nullptr ? spec.constant : read_number(file_, spec.name);
  }

  /// The name of the tensor that holds a parameter's values.
  std::string parameter(ParameterId id) {
    const ParameterSpec& spec = network_.parameters()[static_cast<std::size_t>(id)];
    const auto found = std::find_if(integers_.begin(), integers_.end(),
                                    [&](const IntegerTensor& tensor) { return tensor.name == spec.name; });
    if (found == integers_.end()) return plain_tensor(spec.name);
    const float worth = found->unit() == 0 ? 1.0F : found->unit();  // of zeros alone, and IntQuant divides by it
    const std::string unit = number(spec.name + "_scale", worth);
    if (options_.qonnx) {
      std::vector<float> values;
      for (const int level : found->levels) values.push_back(static_cast<float>(level) * worth);
      model_.initializers.push_back(float_tensor(spec.name + "_float", found->shape, values));
      add_int_quant(spec.name, spec.name + "_float", unit, found->bits + 1, /*is_signed=*/true);
      return spec.name;
    }
    const OnnxType type = container_of(found->bits, opset_, options_.int8_at_least);
    model_.initializers.push_back(integer_tensor(spec.name + "_integers", type, found->shape, found->levels));
    return add("DequantizeLinear", spec.name, {spec.name + "_integers", unit});
  }

  std::string plain_tensor(const std::string& name) {
    const HostTensor& tensor = file_.at(name);
    const auto values = tensor.values<float>();
    model_.initializers.push_back(float_tensor(name, tensor.shape, {values.begin(), values.end()}));
    return name;
  }
  std::string state(StateId id) { return plain_tensor(network_.states()[static_cast<std::size_t>(id)].name); }

  /// A scalar, written once whoever asks for it.
  std::string number(const std::string& name, float value) {
    if (numbers_.insert(name).second) model_.initializers.push_back(float_tensor(name, {}, {value}));
    return name;
  }

  /// Appends a node whose only output is called as it is; returns that name.
  std::string add(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                  const std::map<std::string, OnnxAttribute>& attributes = {}) {
    model_.nodes.push_back({name, op, "", inputs, {name}, attributes});
    return name;
  }

  const Network& network_;
  const TensorFile& file_;
  const OnnxOptions& options_;
  int opset_ = kLeastOpset;
  std::vector<IntegerTensor> integers_;
  OnnxModel model_;
  std::vector<std::string> tensor_names_;  // by TensorId
  std::vector<std::string> inputs_;        // of the node being written
  std::set<std::string> numbers_;
  std::string zero_point_;
};

}  // namespace

OnnxModel network_graph(const Network& network, const TensorFile& model, const Weights& weights,
                        const OnnxOptions& options) {
  return GraphBuilder(network, model, *weights, options).build();
}

OnnxType container_of(int bits, int opset, bool int8_at_least) {
  require(0 <= bits && bits <= kMaxBits, "{} bits have no type in ONNX", bits);
  if (bits == kMaxBits) return OnnxType::int16;
  if (bits > 3 || int8_at_least || opset < kInt4Opset) return OnnxType::int8;
  return bits <= 1 && opset >= kInt2Opset ? OnnxType::int2 : OnnxType::int4;
}

std::string rounding_node(const Node& node) {
  const auto* norm = dynamic_cast<const NormAct*>(node.layer.get());
  return norm != nullptr && norm->options().act_bits > 0 ? norm->options().activation_name + ".round" : "";
}

bool depends_on_batch(const Network& network) {
  return std::any_of(network.nodes().begin(), network.nodes().end(), [](const Node& node) {
    return !rounding_node(node).empty() && dynamic_cast<const NormAct&>(*node.layer).act_scale() < 0;
  });
}

}  // namespace bsq
