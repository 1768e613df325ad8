// Graphs of networks that pool: they say what the engine says.
#include "tests/support/files.h"
#include "tests/support/pooling_network.h"
#include "tests/tools/export/onnx/onnx_support.h"

namespace bsq::test {
namespace {

constexpr int kImages = 6;

/// A number of act_bits for quantized activations; 0: they are not.
OnnxModel check_same(const NetworkSpec& spec, int act_bits, bool qonnx) {
  const Network network = build_network(spec, {Activation::relu6, act_bits, false});
  const Weights weights = fixed_weights(network, [](std::size_t slot) { return static_cast<int>(4 + slot % 4); });
  const TensorFile plain = random_plain(network);
  const OnnxModel model = network_graph(network, plain, weights, {.qonnx = qonnx});
  const auto backend = make_backend("cpu", {.threads = 1});
  EngineRun engine =
      run_engine(*backend, network, plain, weights, tiny_pictures("to compare on", kImages), tiny_input(), kImages);
  const LogitComparison found = compare_logits(engine.logits, evaluate_graph(model, engine.images, &engine.guide));
  CHECK(found.largest_difference <= kLogitTolerance * std::max(found.largest_logit, 1.0));
  CHECK(found.largest_logit > 0.1);
  CHECK(found.same_class == kImages);
  CHECK(engine.guide.disagreements == 0);
  CHECK((engine.guide.rounded > 0) == (act_bits > 0));
  return model;
}

const OnnxNode& node_called(const OnnxModel& model, const std::string& name) {
  for (const OnnxNode& node : model.nodes)
    if (node.name == name) return node;
  FAIL("no node " << name);
  return model.nodes.front();
}

}  // namespace

TEST_CASE("a graph of a network that pools levels says what the engine says") {
  const bool qonnx = GENERATE(false, true);
  const int act_bits = GENERATE(0, 4);
  INFO((qonnx ? "qonnx, " : "onnx, ") << act_bits << " bits of activations");
  const OnnxModel model = check_same(level_pooling_spec(), act_bits, qonnx);
  CHECK(count_nodes(model, "MaxPool") == 2);
  CHECK(count_nodes(model, "Flatten") == 1);
  CHECK(node_called(model, "pool1").attributes ==
        std::map<std::string, OnnxAttribute>{{"kernel_shape", std::vector<std::int64_t>{3, 3}},
                                             {"strides", std::vector<std::int64_t>{2, 2}},
                                             {"pads", std::vector<std::int64_t>{0, 0, 1, 1}}});
}

TEST_CASE("averages of windows of one size become nodes, others are refused by name") {
  NetworkSpec spec = pooling_spec();
  const auto nine =
      std::find_if(spec.nodes.begin(), spec.nodes.end(), [](const NodeSpec& n) { return n.name == "nine"; });
  const Network uneven = build_network(spec);
  CHECK_THAT(error_of(ErrorKind::usage,
                      [&] {
                        network_graph(uneven, random_plain(uneven),
                                      fixed_weights(uneven, [](std::size_t) { return 5; }), {});
                      }),
             Catch::Contains("nine makes 3x3 windows of an image of 4x4: they differ in size"));
  nine->options["out"] = 2;
  const OnnxModel model = check_same(spec, 0, false);
  CHECK(count_nodes(model, "AveragePool") == 2);
  CHECK(std::get<std::vector<std::int64_t>>(node_called(model, "nine").attributes.at("kernel_shape")) ==
        std::vector<std::int64_t>{2, 2});
}

}  // namespace bsq::test
