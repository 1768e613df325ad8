#include "tools/export/onnx/deployed_graph.h"

#include "engine/deployed/deploy.h"
#include "engine/deployed/deployed_run.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace bsq {
namespace {

using Names = std::vector<std::string>;

std::vector<std::int64_t> square(std::int64_t value) {
  return {value, value};
}

class DeployedWriter {
 public:
  DeployedWriter(const DeployedNetwork& network, const Runtime& runtime, const DeployedGraphOptions& options)
      : network_(network),
        options_(options),
        is_fused_(runtime.arithmetic != Arithmetic::integers),
        has_signed_levels_(runtime.bytes == ByteKind::signed_zero),
        is_number_(unrounded_tensors(network, runtime.arithmetic)) {
    model_.ir_version = options.ir_version;
    model_.opsets[""] = options.opset;
  }

  OnnxModel write() {
    const DeployedTensor& picture = network_.tensors[0];
    model_.input = {"images",
                    {"N", std::int64_t{picture.channels}, std::int64_t{picture.height}, std::int64_t{picture.width}},
                    options_.byte_input ? OnnxType::uint8 : OnnxType::float32};
    add_picture();
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) add_node(network_.nodes[i], i + 1);
    add_head();
    model_.output = {"logits", {"N", std::int64_t{network_.head.classes()}}};
    return std::move(model_);
  }

 private:
  std::string add(const std::string& op, const std::string& name, const Names& inputs,
                  const std::map<std::string, OnnxAttribute>& attributes = {}) {
    model_.nodes.push_back({name, op, "", inputs, {name}, attributes});
    return name;
  }

  std::string constant(OnnxTensor tensor) {
    std::string name = tensor.name;
    if (constants_.insert(name).second) model_.initializers.push_back(std::move(tensor));
    return name;
  }
  std::string number(const std::string& name, float value) { return constant(float_tensor(name, {}, {value})); }
  /// A level of a tensor as its type has it. Scalars have no axes: onnxruntime does not fuse an Add with scales of
  /// shape [1].
  std::string level(std::size_t i, int value) {
    const bool is_signed = has_signed_levels_;
    const int stored = value - (is_signed ? sign_offset(tensor(i).grid) : 0);
    return constant({fmt::format("level_{}", stored),
                     is_signed ? OnnxType::int8 : OnnxType::uint8,
                     {},
                     std::string(1, static_cast<char>(stored))});
  }

  const DeployedTensor& tensor(std::size_t i) const { return network_.tensors[i]; }
  std::string unit(std::size_t i) { return number(tensor(i).name + ".unit", tensor(i).grid.unit); }

  std::string levels_of(std::size_t i, const std::string& numbers) {
    return add("QuantizeLinear", tensor(i).name + ".round", {numbers, unit(i), level(i, tensor(i).grid.zero)});
  }
  std::string numbers_of(std::size_t i, const std::string& levels) {
    return add("DequantizeLinear", tensor(i).name + ".quantized", {levels, unit(i), level(i, tensor(i).grid.zero)});
  }

  /// Puts numbers on the grid of a tensor.
  void put(std::size_t i, std::string numbers) {
    const LevelGrid& grid = tensor(i).grid;
    if (is_number_[i]) return names_.push_back(numbers);
    const bool has_fewer = grid.top < 255;
    if (has_fewer && is_fused_) {
      const float most = static_cast<float>(grid.top) * grid.unit;
      numbers = add("Clip", tensor(i).name + ".clip",
                    {numbers, number("zero", 0), number(tensor(i).name + ".ceiling", most)});
    }
    std::string levels = levels_of(i, numbers);
    if (has_fewer && !is_fused_)
      levels = add("Clip", tensor(i).name + ".clip", {levels, level(i, 0), level(i, grid.top)});
    names_.push_back(numbers_of(i, levels));
  }

  void add_picture() {
    const InputOptions& input = options_.input;
    std::string numbers = "images";
    if (options_.byte_input && is_exact(input, tensor(0).grid)) return names_.push_back(numbers_of(0, numbers));
    if (options_.byte_input) {
      // As pixel_number computes it, operation for operation: where a mean of 0.5 puts every byte halfway between two
      // levels, the last bit decides.
      const std::vector<std::int64_t> shape = {1, input.channels(), 1, 1};
      numbers = add("Cast", "images.float", {numbers}, {{"to", static_cast<std::int64_t>(OnnxType::float32)}});
      numbers = add("Div", "images.share", {numbers, number("images.most", 255)});
      numbers = add("Sub", "images.centered", {numbers, constant(float_tensor("images.mean", shape, input.mean))});
      numbers = add("Div", "images.normalised", {numbers, constant(float_tensor("images.std", shape, input.std))});
    }
    put(0, numbers);
  }

  void add_node(const DeployedNode& node, std::size_t output) {
    Names inputs;
    for (const int input : node.inputs) inputs.push_back(names_[static_cast<std::size_t>(input)]);
    const std::string& name = tensor(output).name;
    if (std::holds_alternative<LevelFlatten>(node.operation)) {
      vectors_.insert(output);
      return put(output, add("Flatten", name, inputs, {{"axis", std::int64_t{1}}}));
    }
    if (const auto* convolution = std::get_if<LevelConvolution>(&node.operation))
      return put(output, add_convolution(*convolution, static_cast<std::size_t>(node.inputs[0]), output));
    if (std::holds_alternative<LevelSum>(node.operation)) return put(output, add("Add", name, inputs));
    if (std::holds_alternative<LevelConcat>(node.operation))
      return put(output, add("Concat", name, inputs, {{"axis", std::int64_t{1}}}));
    const auto& pool = std::get<LevelMaximum>(node.operation);
    put(output, add("MaxPool", name, inputs, maximum_attributes(pool, tensor(output), node)));
  }

  /// Windows that reach beyond the image reach into padding, of which no maximum is made.
  std::map<std::string, OnnxAttribute> maximum_attributes(const LevelMaximum& pool, const DeployedTensor& y,
                                                          const DeployedNode& node) const {
    const DeployedTensor& x = tensor(static_cast<std::size_t>(node.inputs[0]));
    const auto at_end = [&](int windows, int size) {
      return std::max<std::int64_t>((windows - 1) * pool.stride + pool.kernel - size - pool.padding, 0);
    };
    return {{"kernel_shape", square(pool.kernel)},
            {"strides", square(pool.stride)},
            {"pads", std::vector<std::int64_t>{pool.padding, pool.padding, at_end(y.height, x.height),
                                               at_end(y.width, x.width)}}};
  }

  std::string add_convolution(const LevelConvolution& c, std::size_t input, std::size_t output) {
    const std::string& name = tensor(output).name;
    const bool is_vector = vectors_.contains(input);
    if (is_vector) vectors_.insert(output);
    const Names operands = {names_[input], filter(c, name, tensor(input), is_vector), bias(c, name, tensor(input))};
    if (is_vector) return add("Gemm", name, operands, {{"transB", std::int64_t{1}}});
    std::map<std::string, OnnxAttribute> attributes = {{"kernel_shape", square(c.kernel)},
                                                       {"strides", square(c.stride)},
                                                       {"pads", std::vector<std::int64_t>(4, c.padding)}};
    if (c.groups > 1) attributes["group"] = std::int64_t{c.groups};
    return add("Conv", name, operands, attributes);
  }

  /// OHWI -> the numbers of OIHW.
  std::string filter(const LevelConvolution& c, const std::string& name, const DeployedTensor& x, bool is_vector) {
    const std::int64_t outputs = static_cast<std::int64_t>(c.scale.size()), inputs = x.channels / c.groups;
    const std::int64_t pixels = std::int64_t{c.kernel} * c.kernel;
    std::vector<int> k;
    k.reserve(c.k.size());
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t i = 0; i < inputs; ++i)
        for (std::int64_t pixel = 0; pixel < pixels; ++pixel)
          k.push_back(c.k[static_cast<std::size_t>((o * pixels + pixel) * inputs + i)]);
    std::vector<std::int64_t> shape = {outputs, inputs, c.kernel, c.kernel};
    if (is_vector) shape.resize(2);
    return dequantized(name + ".weight", OnnxType::int8, shape, k, c.scale);
  }

  std::string bias(const LevelConvolution& c, const std::string& name, const DeployedTensor& x) {
    const auto outputs = static_cast<std::int64_t>(c.scale.size());
    if (is_fused_) return constant(float_tensor(name + ".bias", {outputs}, c.offset));
    std::vector<float> units;
    for (const float scale : c.scale) units.push_back(x.grid.unit * scale);
    return dequantized(name + ".bias", OnnxType::int32, {outputs}, {c.bias.begin(), c.bias.end()}, units);
  }

  /// Integers with a scale per output channel. Zero points are written: not every runtime takes their absence for 0.
  std::string dequantized(const std::string& name, OnnxType type, const std::vector<std::int64_t>& shape,
                          const std::vector<int>& values, const std::vector<float>& scales) {
    const auto count = static_cast<std::int64_t>(scales.size());
    const std::vector<int> zeros(scales.size(), 0);
    return add("DequantizeLinear", name,
               {constant(integer_tensor(name + "_integers", type, shape, values)),
                constant(float_tensor(name + "_scale", {count}, scales)),
                constant(integer_tensor(name + "_zero", type, {count}, zeros))},
               {{"axis", std::int64_t{0}}});
  }

  /// In float32, which the last layer costs next to nothing in.
  void add_head() {
    const DeployedHead& head = network_.head;
    const auto input = static_cast<std::size_t>(head.input);
    std::string x = names_[input];
    if (!vectors_.contains(input))
      x = add("Flatten", "head.flat", {add("GlobalAveragePool", "head.average", {x})}, {{"axis", std::int64_t{1}}});
    const std::int64_t classes = head.classes(), channels = tensor(input).channels;
    const double per_scale = static_cast<double>(tensor(input).height) * tensor(input).width / tensor(input).grid.unit;
    std::vector<float> scales;
    for (const float scale : head.scale) scales.push_back(static_cast<float>(double{scale} * per_scale));
    const bool fits = std::all_of(head.k.begin(), head.k.end(), [](int k) { return -127 <= k && k <= 127; });
    std::string weight = "head.weight";
    if (fits) {
      weight = dequantized(weight, OnnxType::int8, {classes, channels}, {head.k.begin(), head.k.end()}, scales);
    } else {
      std::vector<float> values;
      for (std::size_t i = 0; i < head.k.size(); ++i)
        values.push_back(static_cast<float>(head.k[i]) * scales[i / static_cast<std::size_t>(channels)]);
      weight = constant(float_tensor(weight, {classes, channels}, values));
    }
    add("Gemm", "head", {x, weight, constant(float_tensor("head.bias", {classes}, head.offset))},
        {{"transB", std::int64_t{1}}});
    model_.nodes.back().outputs = {"logits"};
  }

  const DeployedNetwork& network_;
  const DeployedGraphOptions& options_;
  // Fewer than 256 levels are cut off behind the rounding, a bias is an integer, terms of additions are levels; or,
  // fused, none of these.
  bool is_fused_;
  bool has_signed_levels_;
  std::vector<bool> is_number_;  // terms that the graph does not round
  OnnxModel model_;
  Names names_;                    // of the numbers of each tensor
  std::set<std::size_t> vectors_;  // tensors that the graph has as [N, C]
  std::set<std::string> constants_;
};

}  // namespace

int sign_offset(const LevelGrid& grid) {
  return grid.zero == 0 && grid.top <= 127 ? 0 : 128;
}

OnnxModel deployed_graph(const DeployedNetwork& network, const Runtime& runtime, const DeployedGraphOptions& options) {
  return DeployedWriter(network, runtime, options).write();
}

}  // namespace bsq
