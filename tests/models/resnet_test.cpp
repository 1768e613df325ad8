// The networks: PyTorch's names and shapes, counts of parameters, start values, and what makes a depth right or wrong.
#include "models/families.h"
#include "models/resnet.h"

#include "engine/network/layers/norm_act.h"
#include "tests/support/engine.h"
#include "tests/support/files.h"

#include <map>
#include <set>

namespace bsq::test {
namespace {

using NamedShapes = std::map<std::string, std::vector<std::int64_t>>;

/// What torch's state_dict() of the CIFAR ResNet-20 lists, but for num_batches_tracked.
NamedShapes resnet20_of_torch() {
  NamedShapes names;
  const auto norm = [&](const std::string& name, std::int64_t channels) {
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"}) names[name + part] = {channels};
  };
  names["conv1.weight"] = {16, 3, 3, 3};
  norm("bn1", 16);
  std::int64_t in = 16;
  for (int stage = 1; stage <= 3; ++stage) {
    const std::int64_t out = stage == 1 ? 16 : stage == 2 ? 32 : 64;
    for (int block = 0; block < 3; ++block) {
      const std::string prefix = "layer" + std::to_string(stage) + "." + std::to_string(block) + ".";
      names[prefix + "conv1.weight"] = {out, in, 3, 3};
      names[prefix + "conv2.weight"] = {out, out, 3, 3};
      norm(prefix + "bn1", out);
      norm(prefix + "bn2", out);
      in = out;
    }
  }
  names["layer2.0.downsample.0.weight"] = {32, 16, 1, 1};
  names["layer3.0.downsample.0.weight"] = {64, 32, 1, 1};
  norm("layer2.0.downsample.1", 32);
  norm("layer3.0.downsample.1", 64);
  names["fc.weight"] = {10, 64};
  names["fc.bias"] = {10};
  return names;
}

std::int64_t count_of(const Network& network, ParameterGroup group) {
  return lay_out(network.parameters(), group).parameters;
}

struct Moments {
  double mean = 0;
  double deviation = 0;
  double largest = 0;
};

Moments moments_of(const std::vector<float>& values) {
  Moments moments;
  for (const float value : values) {
    moments.mean += double{value} / static_cast<double>(values.size());
    moments.largest = std::max(moments.largest, std::fabs(double{value}));
  }
  for (const float value : values) {
    const double distance = double{value} - moments.mean;
    moments.deviation += distance * distance / static_cast<double>(values.size());
  }
  moments.deviation = std::sqrt(moments.deviation);
  return moments;
}

}  // namespace

TEST_CASE("ResNet-20 has the tensors PyTorch's has, by name and shape") {
  const auto oracle = make_reference_backend();
  const TestModel test(*oracle, make_resnet({}));
  const NamedShapes expected = resnet20_of_torch();
  NamedShapes actual;
  std::set<std::string> counters;
  for (const HostTensor& tensor : test.model.save().tensors) {
    if (tensor.name.ends_with(".num_batches_tracked")) {
      CHECK(tensor.shape.empty());
      CHECK(static_cast<int>(tensor.dtype) == static_cast<int>(DType::i64));
      counters.insert(tensor.name);
    } else {
      CHECK(static_cast<int>(tensor.dtype) == static_cast<int>(DType::f32));
      actual[tensor.name] = tensor.shape;
    }
  }
  CHECK(actual == expected);
  std::set<std::string> expected_counters;
  for (const auto& [name, shape] : expected) {
    const std::string suffix = ".running_mean";
    if (name.ends_with(suffix))
      expected_counters.insert(name.substr(0, name.size() - suffix.size()) + ".num_batches_tracked");
  }
  CHECK(counters == expected_counters);
}

TEST_CASE("ResNet-20 has 268,346 quantizable parameters of 0.27 million, shortcuts and norms among the rest") {
  const Network network = make_resnet({});
  CHECK(count_of(network, ParameterGroup::quantized) == 268'346);
  // 16*32 + 32*64 in the shortcuts; two numbers per channel in 1 + 6 norms of 16, 7 of 32 and 7 of 64.
  CHECK(count_of(network, ParameterGroup::plain) == 2'560 + 2 * (7 * 16 + 7 * 32 + 7 * 64));
  std::set<std::string> quantized;
  for (const ParameterSlot& slot : lay_out(network.parameters(), ParameterGroup::quantized).slots)
    quantized.insert(slot.spec.name);
  CHECK(quantized.size() == 1 + 18 + 2);
  CHECK(quantized.count("fc.bias") == 1);
  CHECK(quantized.count("layer2.0.downsample.0.weight") == 0);
}

TEST_CASE("a ResNet of 6n + 2 layers has that many, for every n") {
  for (const int n : {1, 2, 5, 9, 18}) {
    const int depth = 6 * n + 2;
    const Network network = make_resnet({.depth = depth});
    int weighted = 0;  // 3x3 convolutions and the classifier
    int shortcuts = 0;
    for (const Node& node : network.nodes()) {
      if (node.name.find("downsample.0") != std::string::npos) ++shortcuts;
      if (node.name.find("downsample") == std::string::npos && (node.layer->kind() == "conv2d" || node.name == "fc"))
        ++weighted;
    }
    CHECK(weighted == depth);
    CHECK(shortcuts == 2);
    const std::vector<TensorSpec> tensors = network.tensors(5, DType::f32);
    CHECK(tensors.back().shape == Shape({5, 10}));
    CHECK(tensors[tensors.size() - 2].shape == Shape({5, 64}));
    CHECK(tensors[tensors.size() - 3].shape == Shape({5, 8, 8, 64}));
  }
  CHECK(count_of(make_resnet({.depth = 56}), ParameterGroup::quantized) == 848'954);
}

TEST_CASE("a depth that is not 6n + 2 is an error that names what is possible") {
  for (const int depth : {-4, 0, 2, 7, 18, 21, 49}) {
    const std::string message = error_of(ErrorKind::usage, [&] { make_resnet({.depth = depth}); });
    CHECK_THAT(message, Catch::Matchers::StartsWith("model.depth = " + std::to_string(depth)));
    CHECK_THAT(message, Catch::Matchers::Contains("try 8, 14, 20"));
  }
}

TEST_CASE("start values: convolutions normal by fan-out, classifier and shortcuts uniform by fan-in, norms 1 and 0") {
  const Network network = make_resnet({.activation = Activation::pact, .act_bits = 2});
  int ceilings = 0;
  for (const ParameterSpec& spec : network.parameters()) {
    INFO(spec.name);
    const std::vector<float> values = initial_values(spec, 7);
    const Moments moments = moments_of(values);
    const double root_count = std::sqrt(static_cast<double>(values.size()));
    if (spec.shape.rank == 4 && spec.shape[1] == 3) {
      const double deviation = std::sqrt(2.0 / static_cast<double>(9 * spec.shape[0]));
      CHECK(std::fabs(moments.mean) < 4 * deviation / root_count);
      CHECK(std::fabs(moments.deviation / deviation - 1) < 4 / (root_count * std::sqrt(2.0)));
      CHECK(moments.largest > 2 * deviation);  // not uniform
      CHECK(moments.largest < 6 * deviation);
    } else if (spec.shape.rank == 4 || spec.name.starts_with("fc.")) {
      const double bound = 1 / std::sqrt(static_cast<double>(spec.shape.rank == 4 ? spec.shape[3] : 64));
      CHECK(moments.largest <= bound);
      CHECK(moments.largest > 0.5 * bound);
      CHECK(std::fabs(moments.mean) < 4 * bound / std::sqrt(3.0) / root_count);
    } else if (spec.name.ends_with(".alpha")) {
      CHECK(values == std::vector<float>{10});
      ++ceilings;
    } else {
      CHECK(values == std::vector<float>(values.size(), spec.name.ends_with(".weight") ? 1.0F : 0.0F));
    }
  }
  CHECK(ceilings == 18);
}

TEST_CASE("start values depend on the seed and the name of the parameter, and on nothing else") {
  const Network shallow = make_resnet({.depth = 8});
  const Network deep = make_resnet({.depth = 20});
  const auto values = [](const Network& network, const std::string& name, std::uint64_t seed) {
    for (const ParameterSpec& spec : network.parameters())
      if (spec.name == name) return initial_values(spec, seed);
    FAIL(name);
    return std::vector<float>{};
  };
  const std::string name = "layer3.0.conv1.weight";
  CHECK(values(shallow, name, 1) == values(deep, name, 1));
  CHECK(values(deep, name, 1) != values(deep, name, 2));
  CHECK(values(deep, "layer1.0.conv1.weight", 1) != values(deep, "layer1.0.conv2.weight", 1));
  CHECK(values(deep, name, 1) != values(deep, name, std::uint64_t{1} << 32 | 1));  // all 64 bits count
}

TEST_CASE("the stem is never quantized and keeps its ReLU, and the blocks have the activation and bits asked for") {
  const Network network = make_resnet({.activation = Activation::pact, .act_bits = 3});
  int blocks = 0;
  for (const Node& node : network.nodes()) {
    const auto* norm = dynamic_cast<const NormAct*>(node.layer.get());
    if (norm == nullptr) continue;
    INFO(node.name);
    const bool in_block = node.name.ends_with("bn1") || node.name.ends_with("bn2");
    const Activation expected = node.name == "bn1" ? Activation::relu : in_block ? Activation::pact : Activation::none;
    CHECK(norm->options().activation == expected);
    CHECK(norm->options().act_bits == (expected == Activation::pact ? 3 : 0));
    blocks += expected == Activation::pact;
  }
  CHECK(blocks == 18);
}

TEST_CASE("depth, width and classes are found in a checkpoint of any form") {
  const auto oracle = make_reference_backend();
  const ResNetOptions options{.depth = 14, .width = 6, .num_classes = 7};
  for (const auto& weights : {TestModel::MakeWeights{}, start_as_planes(), start_as_fixed(4)}) {
    const TestModel test(*oracle, make_resnet(options), weights);
    const TensorFile file = test.model.save();
    const ResNetOptions found = recognize_resnet(finder_in(file), file.path.string()).value();
    CHECK(found.depth == 14);
    CHECK(found.width == 6);
    CHECK(found.num_classes == 7);
  }
  TensorFile nothing;
  CHECK_FALSE(recognize_resnet(finder_in(nothing), nothing.path.string()));
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { recognize_network(finder_in(nothing), "nothing.safetensors"); }),
             Catch::Matchers::Contains("its tensors are those of no family that can be told by them (resnet)"));
}

}  // namespace bsq::test
