// One function per operator, as https://onnx.ai/onnx/operators and the QONNX specification define them.
#include "tools/export/onnx/evaluator.h"

#include "tools/export/onnx/evaluator_node.h"

#include <array>
#include <cmath>
#include <limits>
#include <tuple>

namespace bsq {
namespace {

template <typename Function>
GraphTensor mapped(const GraphTensor& x, Function function) {
  GraphTensor y = same_shape(x);
  std::transform(x.values.begin(), x.values.end(), y.values.begin(), function);
  return y;
}

/// Applies a function to numbers of two tensors: of one shape, or the right one is a number, or one per channel
/// [1, C, 1, 1].
template <typename Function>
GraphTensor combined(const OnnxNode& node, const Inputs& in, Function function) {
  check(in.size() == 2, node, "wants two inputs");
  const GraphTensor& a = *in[0];
  const GraphTensor& b = *in[1];
  if (b.dims.empty()) return mapped(a, [&](float x) { return function(x, b.values[0]); });
  GraphTensor y = same_shape(a);
  if (a.dims == b.dims) {
    std::transform(a.values.begin(), a.values.end(), b.values.begin(), y.values.begin(), function);
    return y;
  }
  check(a.dims.size() == 4 && b.dims == std::vector<std::int64_t>{1, a.dims[1], 1, 1}, node,
        "its inputs differ in shape");
  const auto pixels = static_cast<std::size_t>(a.dims[2] * a.dims[3]);
  for (std::size_t i = 0; i < y.values.size(); ++i)
    y.values[i] = function(a.values[i], b.values[i / pixels % b.values.size()]);
  return y;
}

/// zero + round(value), half to even, within least .. most; at a tie, the level that the other program took.
class Rounding {
 public:
  Rounding(const OnnxNode& node, RoundingGuide* guide, std::size_t numel, double least, double most, double zero)
      : guide_(guide), least_(least), most_(most), zero_(zero) {
    if (guide == nullptr) return;
    const auto found = guide->levels.find(node.name);
    if (found == guide->levels.end()) return;
    check(found->second.values.size() == numel, node, "another program's activations differ in number");
    theirs_ = &found->second.values;
    const auto [low, high] = std::minmax_element(theirs_->begin(), theirs_->end());
    reach_ = guide->reach * std::max({1.0, std::abs(double{*low}), std::abs(double{*high})});
    if (const auto own = guide->limits.find(node.name); own != guide->limits.end())
      std::tie(least_, most_) = own->second;
  }

  float operator()(std::size_t i, float value) {
    const double own = std::clamp(std::nearbyint(double{value}) + zero_, least_, most_);
    if (theirs_ == nullptr) return static_cast<float>(own);
    ++guide_->rounded;
    const double other = (*theirs_)[i];
    if (other == own) return static_cast<float>(own);
    // A number beyond the levels belongs to the last of them.
    const double exact = std::clamp(double{value} + zero_, least_, most_);
    const bool is_tie =
        other == std::clamp(std::nearbyint(other), least_, most_) && std::abs(exact - other) <= 0.5 + reach_;
    ++(is_tie ? guide_->ties : guide_->disagreements);
    return static_cast<float>(is_tie ? other : own);
  }

 private:
  RoundingGuide* guide_;
  double least_;
  double most_;
  double zero_;
  double reach_ = 0;
  const std::vector<float>* theirs_ = nullptr;
};

struct RoundingRange {
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  double zero = 0;
};

/// Levels of x / unit, each of which counts `times`.
GraphTensor rounded(const OnnxNode& node, const GraphTensor& x, float unit, const RoundingRange& range, float times,
                    RoundingGuide* guide) {
  check(unit != 0 && std::isfinite(unit), node, "its scale is no number to divide by");
  Rounding round(node, guide, x.values.size(), range.least, range.most, range.zero);
  GraphTensor y = same_shape(x);
  for (std::size_t i = 0; i < y.values.size(); ++i) y.values[i] = round(i, x.values[i] / unit) * times;
  return y;
}

GraphTensor int_quant(const OnnxNode& node, const Inputs& in, RoundingGuide* guide) {
  check(in.size() == 4 && scalar(node, *in[2]) == 0, node, "wants x, scale, a zero point of 0 and a width");
  check(attribute<std::string>(node, "rounding_mode", "ROUND") == "ROUND", node, "rounds in another way");
  const bool is_signed = attribute<std::int64_t>(node, "signed", 1) == 1;
  const bool is_narrow = attribute<std::int64_t>(node, "narrow", 0) == 1;
  const double half = std::exp2(double{scalar(node, *in[3])} - (is_signed ? 1 : 0));
  const double least = is_signed ? (is_narrow ? 1 - half : -half) : 0;
  const double most = half - 1 - (!is_signed && is_narrow ? 1 : 0);
  check(least < most, node, "wants a width that has levels; one bit with a sign is -1 and 1 to some readers");
  const float unit = scalar(node, *in[1]);
  return rounded(node, *in[0], unit, {least, most}, unit, guide);
}

/// One scale and zero point, or one per part of an axis.
GraphTensor dequantize(const OnnxNode& node, const Inputs& in, RoundingGuide* /*guide*/) {
  check(in.size() == 2 || in.size() == 3, node, "wants x, scales and perhaps zero points");
  const GraphTensor& x = *in[0];
  const GraphTensor& scales = *in[1];
  check(in.size() == 2 || in[2]->dims == scales.dims, node, "its scales and zero points differ in number");
  std::size_t inner = x.values.size();
  if (!scales.dims.empty()) {
    const auto axis = attribute<std::int64_t>(node, "axis", 1);
    check(axis >= 0 && axis < static_cast<std::int64_t>(x.dims.size()) && scales.dims.size() == 1 &&
              scales.dims[0] == x.dims[static_cast<std::size_t>(axis)],
          node, "its scales are not those of its axis");
    inner = 1;
    for (auto i = static_cast<std::size_t>(axis) + 1; i < x.dims.size(); ++i)
      inner *= static_cast<std::size_t>(x.dims[i]);
  }
  GraphTensor y = same_shape(x);
  for (std::size_t i = 0; i < y.values.size(); ++i) {
    const std::size_t part = i / inner % scales.values.size();
    const float zero = in.size() == 2 ? 0.0F : in[2]->values[part];
    y.values[i] = (x.values[i] - zero) * scales.values[part];
  }
  return y;
}

GraphTensor quantize(const OnnxNode& node, const Inputs& in, RoundingGuide* guide) {
  check(in.size() == 3, node, "wants x, a scale and a zero point");
  check(in[2]->type == OnnxType::uint8 || in[2]->type == OnnxType::int8, node, "wants levels of a byte");
  const double least = in[2]->type == OnnxType::int8 ? -128 : 0;
  GraphTensor y = rounded(node, *in[0], scalar(node, *in[1]), {least, least + 255, scalar(node, *in[2])}, 1.0F, guide);
  y.type = in[2]->type;
  return y;
}

GraphTensor reduce_max(const OnnxNode& node, const Inputs& in, RoundingGuide* /*guide*/) {
  check(in.size() == 1 && in[0]->numel() > 0 && attribute<std::int64_t>(node, "keepdims", 1) == 0 &&
            !node.attributes.contains("axes"),
        node, "wants to reduce all axes");
  return {{}, {*std::max_element(in[0]->values.begin(), in[0]->values.end())}};
}

GraphTensor round_numbers(const OnnxNode& node, const Inputs& in, RoundingGuide* guide) {
  return rounded(node, *in[0], 1, {}, 1.0F, guide);
}

GraphTensor clip(const OnnxNode& node, const Inputs& in, RoundingGuide* /*guide*/) {
  check(in.size() == 3, node, "wants both bounds");
  const float least = scalar(node, *in[1]), most = scalar(node, *in[2]);
  return mapped(*in[0], [least, most](float x) { return std::min(std::max(x, least), most); });
}

GraphTensor relu(const OnnxNode& node, const Inputs& in, RoundingGuide* /*guide*/) {
  check(in.size() == 1, node, "wants one input");
  return mapped(*in[0], [](float x) { return std::max(x, 0.0F); });
}

/// Of bytes to float32, which they are here already.
GraphTensor cast(const OnnxNode& node, const Inputs& in, RoundingGuide* /*guide*/) {
  check(in.size() == 1 && attribute<std::int64_t>(node, "to", 0) == static_cast<std::int64_t>(OnnxType::float32), node,
        "casts to another type than float32");
  return {in[0]->dims, in[0]->values};
}

template <float (*function)(float, float)>
GraphTensor binary(const OnnxNode& node, const Inputs& in, RoundingGuide* /*guide*/) {
  return combined(node, in, function);
}
float add(float a, float b) {
  return a + b;
}
float subtract(float a, float b) {
  return a - b;
}
float multiply(float a, float b) {
  return a * b;
}
float divide(float a, float b) {
  return a / b;
}
float larger(float a, float b) {
  return std::max(a, b);
}

constexpr std::array kNumberOperators = {
    OnnxOperator{"ReduceMax", reduce_max},
    OnnxOperator{"QuantizeLinear", quantize},
    OnnxOperator{"DequantizeLinear", dequantize},
    OnnxOperator{"IntQuant", int_quant},
    OnnxOperator{"Round", round_numbers},
    OnnxOperator{"Relu", relu},
    OnnxOperator{"Clip", clip},
    OnnxOperator{"Cast", cast},
    OnnxOperator{"Add", binary<add>},
    OnnxOperator{"Sub", binary<subtract>},
    OnnxOperator{"Mul", binary<multiply>},
    OnnxOperator{"Div", binary<divide>},
    OnnxOperator{"Max", binary<larger>},
};

GraphTensor run(const OnnxNode& node, const Inputs& in, RoundingGuide* guide) {
  check(!in.empty(), node, "has no inputs");
  for (const std::span<const OnnxOperator> operators :
       {std::span<const OnnxOperator>(kNumberOperators), image_operators()})
    for (const OnnxOperator& known : operators)
      if (node.op == known.op) return known.run(node, in, guide);
  refuse(node, "an operator that bsq does not write");
}

}  // namespace

GraphTensor evaluate_graph(const OnnxModel& model, const GraphTensor& input, RoundingGuide* guide,
                           std::int64_t most_numbers) {
  std::map<std::string, GraphTensor> tensors;
  for (const OnnxTensor& tensor : model.initializers)
    tensors[tensor.name] = {tensor.dims, values_of(tensor), tensor.type};
  tensors[model.input.name] = input;
  std::map<std::string, std::size_t> last_reader;
  for (std::size_t i = 0; i < model.nodes.size(); ++i)
    for (const std::string& name : model.nodes[i].inputs) last_reader[name] = i;
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    const OnnxNode& node = model.nodes[i];
    check(node.outputs.size() == 1, node, "wants one output");
    Inputs in;
    in.most_numbers = most_numbers;
    for (const std::string& name : node.inputs) {
      const auto found = tensors.find(name);
      if (found == tensors.end()) refuse(node, "reads {}, which nobody has written", name);
      in.push_back(&found->second);
    }
    GraphTensor output = run(node, in, guide);
    for (const std::string& name : node.inputs)
      if (last_reader[name] == i && name != model.output.name) tensors.erase(name);
    if (!tensors.emplace(node.outputs[0], std::move(output)).second)
      refuse(node, "{} is written twice", node.outputs[0]);
  }
  const auto logits = tensors.find(model.output.name);
  if (logits == tensors.end()) fail(ErrorKind::verification, "ONNX model: nobody writes {}", model.output.name);
  return std::move(logits->second);
}

}  // namespace bsq
