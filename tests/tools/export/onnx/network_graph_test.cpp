// Graphs of networks: stored integers are the levels of the weights at every width, and the graph says what the engine
// says, for every form of weights and every kind of activation quantizer.
#include "engine/network/layer_kinds.h"
#include "tests/engine/network/dense_network.h"
#include "tests/support/bias_networks.h"
#include "tests/support/files.h"
#include "tests/tools/export/onnx/onnx_support.h"

#include <cstring>

namespace bsq::test {
namespace {

ResNetOptions tiny(int act_bits) {
  return tiny_resnet(act_bits > 0 && act_bits <= 3 ? Activation::pact : Activation::relu6, act_bits);
}

/// Requires that the graph and the engine agree; ties are decided by the engine.
EngineRun check_same(const OnnxModel& model, EngineRun engine) {
  const LogitComparison found = compare_logits(engine.logits, evaluate_graph(model, engine.images, &engine.guide));
  CHECK(found.largest_difference <= kLogitTolerance);
  CHECK(found.same_class == found.images);
  CHECK(engine.guide.disagreements == 0);
  CHECK(engine.guide.ties * 1000 <= engine.guide.rounded);
  return engine;
}

}  // namespace

TEST_CASE("the integers of a graph are the weights' levels at every width, in the narrowest types") {
  const int bits = GENERATE(range(0, 9));
  const OnnxType narrowest = GENERATE(OnnxType::int8, OnnxType::int4, OnnxType::int2);
  const bool as_planes = GENERATE(false, true);
  INFO(bits << " bits, " << name_of(narrowest));
  const Network network = make_resnet(tiny(0));
  const ArenaLayout layout = lay_out(network.parameters(), ParameterGroup::quantized);
  Weights weights = fixed_weights(network, [&](std::size_t) { return bits; });
  if (as_planes) weights = StoredPlanes::convert(weights, {});
  const TensorFile plain = random_plain(network);
  const OnnxModel model = network_graph(network, plain, weights, {.narrowest = narrowest});
  const DenseTensors dense = to_dense(weights);
  for (std::size_t i = 0; i < layout.slots.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    const OnnxTensor& integers = initializer(model, spec.name + "_integers");
    const float unit = values_of(initializer(model, spec.name + "_scale")).at(0);
    CHECK(integers.type == container_of(bits == 0 && as_planes ? 1 : bits, narrowest));
    CHECK(integers.dims == file_shape(spec.shape));
    const std::vector<float> levels = values_of(integers), expected = to_file_layout(dense[i], spec.shape);
    const float most =
        *std::max_element(levels.begin(), levels.end(), [](float a, float b) { return std::abs(a) < std::abs(b); });
    CHECK(std::abs(most) == static_cast<float>((1 << bits) - 1));
    bool same = true;
    for (std::size_t k = 0; k < levels.size(); ++k)
      same = same && levels[k] * unit == Approx(expected[k]).epsilon(1e-6).margin(0);
    CHECK(same);
  }
  check_same(model, engine_run(tiny(0), plain, weights, 3));
}

TEST_CASE("a graph says what the engine says, with mixed widths and every quantizer of activations") {
  const bool qonnx = GENERATE(false, true);
  const int act_bits = GENERATE(0, 2, 4, 8);
  INFO((qonnx ? "qonnx, " : "onnx, ") << act_bits << " bits of activations");
  const Network network = make_resnet(tiny(act_bits));
  const Weights weights = fixed_weights(network, mixed_bits);
  const TensorFile plain = random_plain(network);
  const OnnxModel model = network_graph(network, plain, weights, {.qonnx = qonnx});
  const EngineRun engine = check_same(model, engine_run(tiny(act_bits), plain, weights, 6));
  CHECK(compare_logits(engine.logits, engine.logits).largest_logit > 0.5);
  CHECK((engine.guide.rounded > 0) == (act_bits > 0));
  CHECK(depends_on_batch(network) == (act_bits > 0));
  CHECK(count_nodes(model, "ReduceMax") == (act_bits > 0 ? 6 : 0));
  CHECK(count_nodes(model, "IntQuant") == (qonnx ? 8 + (act_bits > 0 ? 6 : 0) + 1 : 0));
  for (const OnnxNode& node : model.nodes)  // of 0 bits
    if (node.op == "IntQuant" && node.name == "layer3.0.conv1.weight")
      CHECK(std::get<std::int64_t>(node.attributes.at("signed")) == 0);
  CHECK(count_nodes(model, "BatchNormalization") == 9);
  CHECK(model.opsets.at("") == (qonnx ? 13 : 21));
  CHECK(model.opsets.contains("qonnx.custom_op.general") == qonnx);
  CHECK(std::get<std::string>(model.input.dims.at(0)) == "N");
}

TEST_CASE("a graph joins images where the engine does, and drops nothing") {
  const bool qonnx = GENERATE(false, true);
  const Quantizer quantizer{.activation = Activation::relu6, .act_bits = GENERATE(0, 4)};
  INFO((qonnx ? "qonnx, " : "onnx, ") << quantizer.act_bits << " bits of activations");
  NetworkSpec spec = dense_block_with_dropout();
  spec.image = {8, 8, 3};
  const Network network = build_network(spec, quantizer);
  const Weights weights = fixed_weights(network, [](std::size_t slot) { return slot == 0 ? 8 : 5; });
  const TensorFile plain = random_plain(network);
  const OnnxModel model = network_graph(network, plain, weights, {.qonnx = qonnx});
  const EngineRun engine = check_same(model, engine_run(network, plain, weights, 6));
  CHECK(compare_logits(engine.logits, engine.logits).largest_logit > 0.5);
  CHECK((engine.guide.rounded > 0) == (quantizer.act_bits > 0));
  CHECK(count_nodes(model, "Concat") == 2);
  CHECK(count_nodes(model, "Dropout") == 0);
  CHECK(model.output.name == "logits");
}

TEST_CASE("a graph says what the engine says of networks of biases and sums") {
  const bool qonnx = GENERATE(false, true);
  const int act_bits = GENERATE(0, 4);
  const auto make = GENERATE(preresnet, vgg, vgg_bn);
  INFO((qonnx ? "qonnx, " : "onnx, ") << act_bits << " bits of activations");
  const Network network = make({.activation = Activation::pact, .act_bits = act_bits}, 8);
  const Weights weights = fixed_weights(network, [](std::size_t slot) { return 3 + static_cast<int>(slot) % 6; });
  const TensorFile plain = random_plain(network);
  const OnnxModel model = network_graph(network, plain, weights, {.qonnx = qonnx});
  check_same(model, engine_run(network, plain, weights, 6));
  const bool biased = make != preresnet;
  for (const OnnxNode& node : model.nodes)
    if (node.op == "Conv") CHECK(node.inputs.size() == (biased ? 3 : 2));
  CHECK(count_nodes(model, "Add") == (biased ? 0 : 2));
  for (const OnnxNode& node : model.nodes)  // the options of a norm are in it
    if (node.name == "a.bn2") CHECK(std::get<float>(node.attributes.at("epsilon")) == 0.01F);
}

TEST_CASE("float weights become a plain float graph") {
  const Network network = make_resnet(tiny(0));
  const ArenaLayout layout = lay_out(network.parameters(), ParameterGroup::quantized);
  const DenseTensors weights = to_dense(initial_weights(layout, 5));
  TensorFile file = random_plain(network);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const ParameterSpec& spec = layout.slots[i].spec;
    file.tensors.push_back(
        HostTensor::from<float>(spec.name, file_shape(spec.shape), to_file_layout(weights[i], spec.shape)));
  }
  const OnnxModel model = network_graph(network, file, as_weights(weights), {});
  CHECK(count_nodes(model, "DequantizeLinear") == 0);
  CHECK(model.opsets.at("") == 19);
  check_same(model, engine_run(tiny(0), file, as_weights(weights), 3));
}

TEST_CASE("a graph of convolutions in groups says what the engine says") {
  const bool qonnx = GENERATE(false, true);
  const NetworkSpec spec = spec_from_text(R"({"image": [8, 8, 3], "nodes": [
    {"name": "stem", "layer": "conv2d", "out": 8, "quantized": true},
    {"name": "bn1", "layer": "norm_act"},
    {"name": "depthwise", "layer": "conv2d", "out": 16, "stride": 2, "groups": 8, "quantized": true},
    {"name": "bn2", "layer": "norm_act", "quantized": true},
    {"name": "groups", "layer": "conv2d", "out": 6, "kernel": 5, "groups": 2},
    {"name": "bn3", "layer": "norm_act"},
    {"name": "pool", "layer": "average_pool"},
    {"name": "fc", "layer": "linear", "out": 3, "quantized": true}]})");
  const Network network = build_network(spec, {.act_bits = 4});
  const Weights weights = fixed_weights(network, [](std::size_t) { return 4; });
  const TensorFile plain = random_plain(network);
  const OnnxModel model = network_graph(network, plain, weights, {.qonnx = qonnx});
  std::vector<std::int64_t> groups;
  for (const OnnxNode& node : model.nodes) {
    if (node.op != "Conv") continue;
    const auto found = node.attributes.find("group");
    groups.push_back(found == node.attributes.end() ? 0 : std::get<std::int64_t>(found->second));
  }
  CHECK(groups == std::vector<std::int64_t>{0, 8, 2});
  const auto backend = make_backend("cpu", {.threads = 1});
  const EngineRun engine = check_same(model, run_engine(*backend, build_network(spec, {.act_bits = 4}), plain, weights,
                                                        tiny_pictures("to compare on", 4), tiny_input(), 4));
  CHECK(compare_logits(engine.logits, engine.logits).largest_logit > 0.5);
}

TEST_CASE("a scale in the model takes the place of the batch's maximum") {
  const bool qonnx = GENERATE(false, true);
  const int act_bits = GENERATE(2, 4, 8);
  INFO((qonnx ? "qonnx, " : "onnx, ") << act_bits << " bits of activations");
  const Network network = make_resnet(tiny(act_bits));
  const Weights weights = fixed_weights(network, mixed_bits);
  const TensorFile plain = random_plain(network);
  const OnnxModel dynamic = network_graph(network, plain, weights, {});
  const EngineRun engine = engine_run(tiny(act_bits), plain, weights, 6);
  const TensorFile calibrated = with_act_scales(plain, dynamic, engine.images);
  ResNetOptions options = tiny(act_bits);
  options.static_act_scales = true;
  const Network static_network = make_resnet(options);
  CHECK_FALSE(depends_on_batch(static_network));
  const OnnxModel fixed = network_graph(static_network, calibrated, weights, {.qonnx = qonnx});
  CHECK(count_nodes(fixed, "ReduceMax") == 0);
  CHECK(count_nodes(fixed, "QuantizeLinear") == (qonnx ? 0 : 6));
  check_same(fixed, engine);  // the maxima are those of this batch

  // An image by itself now says what it says among others, up to sums in another order.
  const auto pixels = static_cast<std::ptrdiff_t>(engine.images.values.size() / 6);
  const GraphTensor all = evaluate_graph(fixed, engine.images);
  const GraphTensor one = evaluate_graph(
      fixed, {{1, 3, 8, 8}, {engine.images.values.begin() + pixels, engine.images.values.begin() + 2 * pixels}});
  CHECK(std::equal(one.values.begin(), one.values.end(), all.values.begin() + 3));

  // What is larger than the scale is clipped to it: no level above 2^k - 1.
  TensorFile half = calibrated;
  for (HostTensor& tensor : half.tensors) {
    if (!tensor.name.ends_with(".act_scale")) continue;
    const float smaller = tensor.values<float>()[0] / 2;
    std::memcpy(tensor.bytes.data(), &smaller, sizeof(smaller));
  }
  OnnxModel clipped = network_graph(static_network, half, weights, {.qonnx = qonnx});
  check_same(clipped, engine_run(options, half, weights, 6));
  clipped.output.name = qonnx ? "layer1.0.relu1.round" : "layer1.0.relu1.quantized";
  const std::vector<float> values = evaluate_graph(clipped, engine.images).values;
  CHECK(*std::max_element(values.begin(), values.end()) ==
        Approx(half.at("layer1.0.relu1.act_scale").values<float>()[0]));
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { network_graph(static_network, plain, weights, {}); }),
             Catch::Contains("layer1.0.relu1.act_scale"));
}

TEST_CASE("a graph that is not the network is found out") {
  const Network network = make_resnet(tiny(4));
  const Weights weights = fixed_weights(network, [](std::size_t) { return 4; });
  const TensorFile plain = random_plain(network);
  const OnnxModel whole = network_graph(network, plain, weights, {});
  const EngineRun engine = engine_run(tiny(4), plain, weights, 6);
  const auto is_found_out = [&](const std::function<void(OnnxModel&)>& spoil) {
    OnnxModel model = whole;
    spoil(model);
    EngineRun run = engine;
    const LogitComparison found = compare_logits(run.logits, evaluate_graph(model, run.images, &run.guide));
    return found.largest_difference > kLogitTolerance || run.guide.disagreements > 0;
  };
  CHECK_FALSE(is_found_out([](OnnxModel&) {}));
  CHECK(is_found_out([](OnnxModel& model) {  // one level of one weight
    for (OnnxTensor& tensor : model.initializers)
      if (tensor.name == "layer2.0.conv2.weight_integers") tensor.raw[5] = static_cast<char>(tensor.raw[5] ^ 1);
  }));
  CHECK(is_found_out([](OnnxModel& model) {
    for (OnnxNode& node : model.nodes)
      if (node.op == "BatchNormalization") node.attributes["epsilon"] = 1e-3F;
  }));
  CHECK(is_found_out([](OnnxModel& model) {  // 15 levels become 16
    for (OnnxTensor& tensor : model.initializers)
      if (tensor.name == "levels_15") tensor = float_tensor(tensor.name, {}, {16});
  }));
  CHECK(is_found_out([](OnnxModel& model) {
    for (OnnxTensor& tensor : model.initializers)
      if (tensor.name == "layer3.0.relu2.ceiling") tensor = float_tensor(tensor.name, {}, {1});
  }));
}

TEST_CASE("an opset that cannot hold a width is refused by name, and wider containers need no newer one") {
  const Network network = make_resnet(tiny(0));
  const TensorFile plain = random_plain(network);
  const auto of_bits = [&](int bits) -> Weights {
    return fixed_weights(network, [&](std::size_t i) { return i == 3 ? bits : 5; });
  };
  const auto opset_of = [&](int bits, const OnnxOptions& options) {
    return network_graph(network, plain, of_bits(bits), options).opsets.at("");
  };
  for (int bits = 0; bits < 8; ++bits) CHECK(opset_of(bits, {}) == 19);
  CHECK(opset_of(8, {}) == 21);
  for (const int bits : {1, 2, 3}) CHECK(opset_of(bits, {.narrowest = OnnxType::int4}) == 21);
  CHECK(opset_of(1, {.narrowest = OnnxType::int2}) == 25);
  CHECK(opset_of(5, {.narrowest = OnnxType::int2}) == 19);
  CHECK(opset_of(3, {.opset = 13}) == 13);
  CHECK(opset_of(8, {.qonnx = true}) == 13);
  const std::string name = lay_out(network.parameters(), ParameterGroup::quantized).slots[3].spec.name;
  const auto refused = [&](int bits, const OnnxOptions& options) {
    return error_of(ErrorKind::usage, [&] { network_graph(network, plain, of_bits(bits), options); });
  };
  CHECK(refused(2, {.opset = 20, .narrowest = OnnxType::int4}) ==
        "--opset 20: " + name +
            " has 2 bits, and ONNX has INT4 from opset 21 on; leave out --opset, or --min-container");
  CHECK(refused(8, {.opset = 13}) ==
        "--opset 13: " + name + " has 8 bits, and ONNX has INT16 from opset 21 on; leave out --opset");
}

}  // namespace bsq::test
