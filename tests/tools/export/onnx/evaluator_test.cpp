// The evaluator of graphs, operator by operator, against numbers worked out by hand; and what it refuses.
#include "kernels/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/files.h"
#include "tools/export/onnx/evaluator.h"

#include <limits>

namespace bsq::test {
namespace {

using Attributes = std::map<std::string, OnnxAttribute>;

/// One node; its first input is the graph's, the others are constants.
OnnxModel one_node(const std::string& op, const std::vector<OnnxTensor>& constants, const Attributes& attributes = {}) {
  OnnxModel model;
  OnnxNode node{"it", op, "", {"x"}, {"y"}, attributes};
  for (const OnnxTensor& constant : constants) node.inputs.push_back(constant.name);
  model.nodes = {node};
  model.initializers = constants;
  model.input.name = "x";
  model.output.name = "y";
  return model;
}

OnnxTensor number(const std::string& name, float value) {
  return float_tensor(name, {}, {value});
}

std::vector<float> result(const OnnxModel& model, const GraphTensor& x) {
  return evaluate_graph(model, x).values;
}

void check_refused(const OnnxModel& model, const GraphTensor& x, const std::string& part) {
  CHECK_THAT(error_of(ErrorKind::verification, [&] { evaluate_graph(model, x); }), Catch::Contains(part));
}

}  // namespace

TEST_CASE("convolution: padding, stride, and every input channel") {
  const GraphTensor x{{1, 2, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 0, 0, 0, 1, 0, 0, 0, 1}};
  std::vector<float> weight(18, 1.0F);
  for (std::size_t i = 9; i < 18; ++i) weight[i] = 100;
  const OnnxTensor w = float_tensor("w", {1, 2, 3, 3}, weight);
  const std::vector<std::int64_t> ones = {1, 1, 1, 1}, two = {2, 2};
  CHECK(result(one_node("Conv", {w}), x) == std::vector<float>{345});
  const GraphTensor strided = evaluate_graph(one_node("Conv", {w}, {{"pads", ones}, {"strides", two}}), x);
  CHECK(strided.dims == std::vector<std::int64_t>{1, 1, 2, 2});
  CHECK(strided.values == std::vector<float>{212, 116, 124, 228});
  check_refused(one_node("Conv", {w}, {{"strides", std::vector<std::int64_t>{1, 2}}}), x, "wants equal strides");
  check_refused(one_node("Conv", {w}, {{"kernel_shape", two}}), x, "kernel_shape is not that of the weight");
  check_refused(one_node("Conv", {float_tensor("w", {1, 1, 3, 3}, std::vector<float>(9))}), x, "do not fit");
}

TEST_CASE("convolution in groups: an output reads the channels of its own") {
  const GraphTensor x{{1, 4, 1, 2}, {1, 2, 3, 4, 5, 6, 7, 8}};
  const OnnxTensor two_groups = float_tensor("w", {4, 2, 1, 1}, {1, 0, 0, 1, 1, 10, 2, 0});
  const auto groups = [](std::int64_t count) { return Attributes{{"group", count}}; };
  CHECK(result(one_node("Conv", {two_groups}, groups(2)), x) == std::vector<float>{1, 2, 3, 4, 75, 86, 10, 12});
  const OnnxTensor depthwise = float_tensor("w", {4, 1, 1, 1}, {1, 2, 3, 4});
  CHECK(result(one_node("Conv", {depthwise}, groups(4)), x) == std::vector<float>{1, 2, 6, 8, 15, 18, 28, 32});
  check_refused(one_node("Conv", {two_groups}, groups(4)), x, "do not fit");
  check_refused(one_node("Conv", {two_groups}), x, "do not fit");
  check_refused(one_node("Conv", {float_tensor("w", {3, 2, 1, 1}, std::vector<float>(6))}, groups(2)), x,
                "its groups do not divide the outputs");
}

TEST_CASE("normalisation, pooling and the classifier") {
  const auto vector = [](const std::string& name, float a, float b) { return float_tensor(name, {2}, {a, b}); };
  const GraphTensor x{{1, 2, 1, 2}, {1, 2, 3, 4}};
  const OnnxModel norm =
      one_node("BatchNormalization", {vector("g", 1, 2), vector("b", 0, 10), vector("m", 1, 3), vector("v", 3, 0)},
               {{"epsilon", 1.0F}});
  CHECK(result(norm, x) == std::vector<float>{0, 0.5F, 10, 12});
  CHECK(result(one_node("GlobalAveragePool", {}), x) == std::vector<float>{1.5F, 3.5F});
  CHECK(evaluate_graph(one_node("Flatten", {}), x).dims == std::vector<std::int64_t>{1, 4});
  const OnnxModel gemm =
      one_node("Gemm", {float_tensor("w", {2, 2}, {1, 2, 3, 4}), vector("c", 10, 20)}, {{"transB", std::int64_t{1}}});
  CHECK(result(gemm, {{1, 2}, {1, 10}}) == std::vector<float>{31, 63});
}

TEST_CASE("concatenation puts the channels of every image side by side") {
  const GraphTensor x{{2, 1, 1, 2}, {1, 2, 3, 4}};
  const OnnxTensor other = float_tensor("a", {2, 2, 1, 2}, {10, 11, 12, 13, 20, 21, 22, 23});
  const GraphTensor y = evaluate_graph(one_node("Concat", {other}, {{"axis", std::int64_t{1}}}), x);
  CHECK(y.dims == std::vector<std::int64_t>{2, 3, 1, 2});
  CHECK(y.values == std::vector<float>{1, 2, 10, 11, 12, 13, 3, 4, 20, 21, 22, 23});
  check_refused(one_node("Concat", {other}, {{"axis", std::int64_t{2}}}), x, "wants axis 1");
  check_refused(
      one_node("Concat", {float_tensor("a", {2, 1, 2, 2}, std::vector<float>(8))}, {{"axis", std::int64_t{1}}}), x,
      "its inputs differ in size");
}

TEST_CASE("windows of a pooling: padding belongs to none, and each axis has its own size") {
  const std::vector<std::int64_t> two = {2, 2}, three = {3, 3}, ends = {1, 1, 0, 1}, flat = {1, 2};
  const GraphTensor x{{1, 2, 2, 3}, {1, -2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6}};
  const OnnxModel largest = one_node("MaxPool", {}, {{"kernel_shape", two}, {"strides", two}, {"pads", ends}});
  const GraphTensor y = evaluate_graph(largest, x);
  CHECK(y.dims == std::vector<std::int64_t>{1, 2, 1, 2});
  CHECK(y.values == std::vector<float>{1, 3, -1, -2});
  CHECK(result(one_node("AveragePool", {}, {{"kernel_shape", flat}, {"strides", flat}}), x) ==
        std::vector<float>{-0.5F, 4.5F, -1.5F, -4.5F});
  check_refused(one_node("MaxPool", {}, {{"kernel_shape", three}}), x, "its window is larger than the image");
  check_refused(one_node("MaxPool", {}, {{"kernel_shape", two}, {"ceil_mode", std::int64_t{1}}}), x, "in another way");
  check_refused(one_node("AveragePool", {}, {{"kernel_shape", two}, {"pads", ends}}), x, "pads what it averages");
}

TEST_CASE("arithmetic, bounds and rounding half to even") {
  const GraphTensor x{{5}, {-1.5F, -0.5F, 0.5F, 2.5F, 9}};
  CHECK(result(one_node("Relu", {}), x) == std::vector<float>{0, 0, 0.5F, 2.5F, 9});
  CHECK(result(one_node("Clip", {number("a", 0), number("b", 6)}), x) == std::vector<float>{0, 0, 0.5F, 2.5F, 6});
  CHECK(result(one_node("Round", {}), x) == std::vector<float>{-2, -0.0F, 0, 2, 9});
  CHECK(result(one_node("Mul", {number("a", 2)}), x) == std::vector<float>{-3, -1, 1, 5, 18});
  CHECK(result(one_node("Div", {number("a", 2)}), x) == std::vector<float>{-0.75F, -0.25F, 0.25F, 1.25F, 4.5F});
  CHECK(result(one_node("Max", {number("a", 1)}), x) == std::vector<float>{1, 1, 1, 2.5F, 9});
  CHECK(result(one_node("Add", {float_tensor("a", {5}, {1, 2, 3, 4, 5})}), x) ==
        std::vector<float>{-0.5F, 1.5F, 3.5F, 6.5F, 14});
  CHECK(result(one_node("ReduceMax", {}, {{"keepdims", std::int64_t{0}}}), x) == std::vector<float>{9});
}

TEST_CASE("quantizers: levels, saturation, narrow ranges") {
  const OnnxTensor zero{"z", OnnxType::uint8, {}, std::string(1, '\0')};
  const GraphTensor x{{4}, {-1, 0.75F, 1.25F, 200}};
  CHECK(result(one_node("QuantizeLinear", {number("s", 0.5F), zero}), x) == std::vector<float>{0, 2, 2, 255});
  OnnxModel model = one_node("DequantizeLinear", {number("s", 0.5F)});
  CHECK(result(model, x) == std::vector<float>{-0.5F, 0.375F, 0.625F, 100});
  const auto quantizer = [&](float bits, std::int64_t is_signed, std::int64_t narrow) {
    return one_node("IntQuant", {number("s", 0.5F), number("z", 0), number("n", bits)},
                    {{"signed", is_signed}, {"narrow", narrow}, {"rounding_mode", std::string("ROUND")}});
  };
  const auto quant = [&](float bits, std::int64_t is_signed, std::int64_t narrow) {
    return result(quantizer(bits, is_signed, narrow), x);
  };
  CHECK(quant(3, 1, 1) == std::vector<float>{-1, 1, 1, 1.5F});
  CHECK(quant(2, 1, 1) == std::vector<float>{-0.5F, 0.5F, 0.5F, 0.5F});
  CHECK(quant(2, 1, 0) == std::vector<float>{-1, 0.5F, 0.5F, 0.5F});
  CHECK(quant(1, 0, 0) == std::vector<float>{0, 0.5F, 0.5F, 0.5F});
  check_refused(quantizer(1, 1, 1), x, "one bit with a sign is -1 and 1 to some readers");
  CHECK(quant(4, 0, 0) == std::vector<float>{0, 1, 1, 7.5F});
  check_refused(one_node("QuantizeLinear", {number("s", 0), zero}), x, "no number to divide by");
}

TEST_CASE("a guide decides ties and nothing else") {
  const GraphTensor x{{4}, {0.5F, 1.5F, 2.4F, 15}};
  const auto guided = [&](const std::vector<float>& levels) {
    RoundingGuide guide{.levels = {{"it", {{4}, levels}}}};
    const std::vector<float> y = evaluate_graph(one_node("Round", {}), x, &guide).values;
    CHECK(guide.rounded == 4);
    return std::make_tuple(y, guide.ties, guide.disagreements);
  };
  CHECK(guided({0, 2, 2, 15}) == std::make_tuple(std::vector<float>{0, 2, 2, 15}, 0, 0));
  CHECK(guided({1, 1, 2, 15}) == std::make_tuple(std::vector<float>{1, 1, 2, 15}, 2, 0));
  CHECK(guided({2, 2, 3, 15}) == std::make_tuple(std::vector<float>{0, 2, 2, 15}, 0, 2));
  RoundingGuide other{.levels = {{"it", {{3}, {0, 0, 0}}}}};
  CHECK_THAT(error_of(ErrorKind::verification, [&] { evaluate_graph(one_node("Round", {}), x, &other); }),
             Catch::Contains("differ in number"));
}

TEST_CASE("what bsq would not have written is refused") {
  const GraphTensor x{{1}, {1}};
  check_refused(one_node("Softmax", {}), x, "ONNX node it (Softmax): an operator that bsq does not write");
  OnnxModel model = one_node("Relu", {});
  model.nodes[0].inputs = {"w"};
  check_refused(model, x, "reads w, which nobody has written");
  model = one_node("Relu", {});
  model.output.name = "z";
  check_refused(model, x, "nobody writes z");
  check_refused(one_node("Clip", {number("a", 0), float_tensor("b", {2}, {1, 2})}), x, "wants a scalar");
  check_refused(one_node("Add", {float_tensor("a", {2}, {1, 2})}), x, "differ in shape");
  check_refused(one_node("Gemm", {number("w", 0), number("c", 0)}, {{"transB", 1.0F}}), x, "is of another type");
}

TEST_CASE("a graph whose numbers are beyond all bounds is refused before memory is taken for it") {
  const GraphTensor x{{1, 1, 2, 2}, {1, 2, 3, 4}};
  const OnnxTensor w = float_tensor("w", {1, 1, 1, 1}, {1});
  const auto all = [](std::size_t count, std::int64_t value) { return std::vector<std::int64_t>(count, value); };
  const std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  check_refused(one_node("Conv", {w}, {{"pads", all(4, huge)}}), x, "its kernel, stride and padding do not fit");
  check_refused(one_node("Conv", {w}, {{"strides", all(2, 0)}}), x, "its kernel, stride and padding do not fit");
  check_refused(one_node("MaxPool", {}, {{"kernel_shape", all(2, huge)}}), x, "its window, stride and padding");
  const OnnxModel doubled = one_node("Concat", {float_tensor("w", x.dims, x.values)}, {{"axis", std::int64_t{1}}});
  CHECK(evaluate_graph(doubled, x, nullptr, 8).numel() == 8);
  CHECK_THAT(error_of(ErrorKind::verification, [&] { evaluate_graph(doubled, x, nullptr, 7); }),
             Catch::Contains("makes a tensor that is empty or too large"));
  for (const std::vector<std::int64_t>& dims : {all(3, huge), {0, 4}, {-1, -4}})
    CHECK_THAT(error_of(ErrorKind::verification,
                        [&] {
                          bsq::values_of(OnnxTensor{"w", OnnxType::float32, dims, ""});
                        }),
               Catch::Contains("ONNX tensor w: no tensor of bsq has the shape ["));
}

}  // namespace bsq::test
