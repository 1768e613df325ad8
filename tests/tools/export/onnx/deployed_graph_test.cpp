// Graphs of deployed networks: for every runtime they say what the deployed arithmetic says, level for level; the
// deployed arithmetic stays near the one of training.
#include "tools/export/onnx/deployed_graph.h"

#include "engine/deployed/value_ranges.h"
#include "tests/engine/network/dense_network.h"
#include "tests/support/bias_networks.h"
#include "tests/support/files.h"
#include "tests/support/pooling_network.h"
#include "tests/tools/export/onnx/deployed_support.h"

namespace bsq::test {
namespace {

void check_graph(const DeployedCase& made, const Runtime& runtime, bool byte_input) {
  const DeployedGraphOptions options{
      .byte_input = byte_input, .input = made.input, .opset = kUsualOpset, .ir_version = ir_version_of(kUsualOpset)};
  const OnnxModel model = deployed_graph(made.deployment.network, runtime, options);
  EngineRun run = run_deployed_for(made.deployment.network, runtime, options, made.pictures);
  const LogitComparison found = compare_logits(run.logits, evaluate_graph(model, run.images, &run.guide));
  CHECK(run.guide.disagreements == 0);
  CHECK(run.guide.ties * 200 <= run.guide.rounded);
  CHECK(run.guide.rounded > 1000);
  CHECK(found.largest_difference <= kLogitTolerance * std::max(found.largest_logit, 1.0));
  CHECK(found.largest_logit > 0.01);
  const IntegerShare share = integer_share(model, runtime);
  CHECK(share.convolutions > 0);
  CHECK(share.integers == share.convolutions);
  for (const OnnxTensor& tensor : model.initializers)
    if (tensor.name.ends_with("_scale") || tensor.name.ends_with(".unit"))
      for (const float scale : values_of(tensor)) CHECK(scale > 0);
  for (const OnnxNode& node : model.nodes)
    if (node.op.ends_with("quantizeLinear") || node.op == "QuantizeLinear") CHECK(node.inputs.size() == 3);
}

}  // namespace

TEST_CASE("a graph for a runtime says what the deployed arithmetic says, level for level") {
  const std::string name = GENERATE(from_range(deployed_case_names()));
  INFO(name);
  for (const Runtime& runtime : runtimes()) {
    if (runtime.bytes == ByteKind::signed_zero && name == "resnet of 8 bits") continue;
    const DeployedCase made = deployed_case(name, runtime.bytes);
    for (const bool byte_input : {false, true}) {
      INFO(runtime.name << (byte_input ? ", bytes" : ""));
      check_graph(made, runtime, byte_input);
    }
  }
}

TEST_CASE("a graph of bytes rounds pictures to the levels of one of numbers, where each byte is between two levels") {
  const float mean = 0.5F, deviation = GENERATE(0.25F, 0.5F);
  const InputOptions input{
      .height = 8, .width = 8, .mean = {mean, mean, mean}, .std = {deviation, deviation, deviation}};
  const DeployedCase made = deployed_case("vgg", ByteKind::any_zero, 4, input);
  const Runtime& runtime = *find_runtime("onnxruntime");
  std::vector<std::vector<float>> logits;
  for (const bool byte_input : {false, true}) {
    const DeployedGraphOptions options{
        .byte_input = byte_input, .input = input, .opset = kUsualOpset, .ir_version = ir_version_of(kUsualOpset)};
    const EngineRun run = run_deployed_for(made.deployment.network, runtime, options, made.pictures);
    logits.push_back(evaluate_graph(deployed_graph(made.deployment.network, runtime, options), run.images).values);
  }
  CHECK(logits[0] == logits[1]);
}

TEST_CASE("the graph of a network as it was trained has convolutions that no runtime multiplies as integers") {
  const Network network = make_resnet(tiny_resnet(Activation::relu6, 4));
  const OnnxModel model =
      network_graph(network, random_plain(network), fixed_weights(network, [](std::size_t) { return 7; }), {});
  const IntegerShare share = integer_share(model, runtimes().front());
  CHECK(share.convolutions == 9);
  CHECK(share.integers == 0);
}

}  // namespace bsq::test
