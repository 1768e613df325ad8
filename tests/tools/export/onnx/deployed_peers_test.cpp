// Deployed models in onnxruntime, which is not ours: every level of every picture is that of the deployed arithmetic;
// and in OpenVINO, which joins additions with convolutions: the same logits but where a float32 sum lies between two
// levels.
#include "engine/files/atomic_file.h"
#include "tests/support/files.h"
#include "tests/tools/export/onnx/deployed_support.h"
#include "tests/tools/export/onnx/python_peers.h"
#include "tools/export/onnx/onnx_file.h"

#include <cmath>
#include <cstring>
#include <sstream>

namespace bsq::test {
namespace {

constexpr int kPeerImages = 64;

template <typename T>
std::string bytes_as(const std::vector<float>& values) {
  const std::vector<T> converted(values.begin(), values.end());
  return {reinterpret_cast<const char*>(converted.data()), converted.size() * sizeof(T)};
}

/// What run_levels.py brings: levels, then logits; and the operators that it counts.
struct Found {
  std::vector<std::int32_t> levels;
  std::vector<float> logits;
  int integer_convolutions = 0, float_convolutions = 0, integer_additions = 0, float_additions = 0;
};

Found run_levels(const std::string& python, const OnnxModel& model, const EngineRun& expected, std::size_t levels) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "m.onnx", onnx_bytes(model));
  const bool has_bytes = model.input.type == OnnxType::uint8;
  write_file_atomically(folder / "images", has_bytes ? bytes_as<std::uint8_t>(expected.images.values)
                                                     : bytes_as<float>(expected.images.values));
  const std::string command =
      fmt::format("cd '{}' && '{}' '{}/tests/tools/export/onnx/run_levels.py' m.onnx images output > counts",
                  folder.path().string(), python, BSQ_SOURCE_DIR);
  REQUIRE(std::system(command.c_str()) == 0);
  const std::string bytes = text_of(folder / "output");
  Found found;
  found.levels.resize(levels);
  found.logits.resize(expected.logits.values.size());
  REQUIRE(bytes.size() == 4 * (found.levels.size() + found.logits.size()));
  std::memcpy(found.levels.data(), bytes.data(), 4 * levels);
  std::memcpy(found.logits.data(), bytes.data() + 4 * levels, 4 * found.logits.size());
  std::istringstream(text_of(folder / "counts")) >> found.integer_convolutions >> found.float_convolutions >>
      found.integer_additions >> found.float_additions;
  return found;
}

/// What run_levels() should find, in the order of the graph.
std::vector<float> expected_levels(const OnnxModel& model, const EngineRun& run) {
  std::vector<float> expected;
  for (const OnnxNode& node : model.nodes) {
    if (node.op != "QuantizeLinear") continue;
    const std::vector<float>& levels = run.guide.levels.at(node.name).values;
    expected.insert(expected.end(), levels.begin(), levels.end());
  }
  return expected;
}

std::int64_t count_different(const std::vector<std::int32_t>& found, const std::vector<float>& expected) {
  std::int64_t different = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) different += static_cast<float>(found[i]) != expected[i];
  return different;
}

/// Two terms, the first two colors of a picture, whose levels they are; and their sum, on grids of these units.
DeployedNetwork adding_network(int size, const LevelGrid& first, const LevelGrid& second, const LevelGrid& sum) {
  const LevelGrid bytes{1.0F / 64, 128, 255};
  const auto tensor = [&](const char* name, const LevelGrid& grid) {
    return DeployedTensor{.name = name, .height = size, .width = size, .channels = 3, .grid = grid};
  };
  const auto color = [&](int which, const LevelGrid& y) {
    LevelConvolution c;
    c.k.resize(9);
    const float scale = y.unit / bytes.unit;
    for (std::size_t o = 0; o < 3; ++o) {
      c.k[3 * o + static_cast<std::size_t>(which)] = 1;
      c.scale.push_back(scale);
      c.bias.push_back(bytes.zero - y.zero);
      c.offset.push_back(static_cast<float>(c.bias.back()) * bytes.unit * scale);
      c.multiplier.push_back(multiplier_of(bytes, scale, y));
    }
    return c;
  };
  DeployedNetwork network{.pixels = PixelLevels(3), .tensors = {}, .nodes = {}, .head = {}};
  for (auto& levels : network.pixels)
    for (std::size_t byte = 0; byte < levels.size(); ++byte) levels[byte] = static_cast<std::uint8_t>(byte);
  network.tensors = {tensor("images", bytes), tensor("a", first), tensor("b", second), tensor("sum", sum)};
  network.nodes = {{{0}, color(0, first)}, {{0}, color(1, second)}, {{1, 2}, sum_of(first, second, sum)}};
  network.head = {3, {1, 2, 3}, {1e-5F}, {0}};
  return network;
}

/// Every level that onnxruntime finds beside ours: how many differ.
std::int64_t different_levels(const std::string& python, const DeployedNetwork& network,
                              const std::vector<std::uint8_t>& pictures) {
  const float zero = 128.0F / 255.0F, unit = 64.0F / 255.0F;
  const InputOptions input{.height = network.tensors[0].height,
                           .width = network.tensors[0].width,
                           .mean = {zero, zero, zero},
                           .std = {unit, unit, unit}};
  const DeployedGraphOptions options{
      .byte_input = true, .input = input, .opset = kUsualOpset, .ir_version = ir_version_of(kUsualOpset)};
  const Runtime& runtime = *find_runtime("onnxruntime");
  const OnnxModel model = deployed_graph(network, runtime, options);
  const EngineRun run = run_deployed_for(network, runtime, options, pictures);
  const std::vector<float> expected = expected_levels(model, run);
  const Found found = run_levels(python, model, run, expected.size());
  return count_different(found.levels, expected);
}

}  // namespace

TEST_CASE("onnxruntime adds every pair of levels as the deployed arithmetic does") {
  const std::string python = python_with({"onnx", "onnxruntime"});
  if (python.empty() || !describe_onnx().starts_with("protobuf ")) {
    WARN("SKIPPED: needs a build with ONNX, and BSQ_ONNXRUNTIME_PYTHON or build/peers with onnx and onnxruntime");
    return;
  }
  constexpr int kSide = 256;
  std::vector<std::uint8_t> picture;  // of every pair
  for (int row = 0; row < kSide; ++row)
    for (int column = 0; column < kSide; ++column)
      for (const int byte : {row, column, 0}) picture.push_back(static_cast<std::uint8_t>(byte));
  RandomTensors random("units");
  const std::vector<float> units = random.uniform(30, 0.005F, 0.1F);
  for (std::size_t i = 0; i < units.size(); i += 3) {
    const auto zero = static_cast<int>(i) * 8 + 3;
    INFO(i);
    CHECK(different_levels(python,
                           adding_network(kSide, {units[i], zero, 255}, {units[i + 1], 200 - zero / 2, 255},
                                          {units[i + 2] * 4, i % 2 == 0 ? 0 : 117, 255}),
                           picture) == 0);
  }
}

TEST_CASE("onnxruntime computes every level of a deployed model as the deployed arithmetic says") {
  const std::string python = python_with({"onnx", "onnxruntime"});
  if (python.empty() || !describe_onnx().starts_with("protobuf ")) {
    WARN("SKIPPED: needs a build with ONNX, and BSQ_ONNXRUNTIME_PYTHON or build/peers with onnx and onnxruntime");
    return;
  }
  const std::string name = GENERATE(from_range(deployed_case_names()));
  const bool byte_input = GENERATE(false, true);
  INFO(name << (byte_input ? ", bytes" : ""));
  const DeployedCase made = deployed_case(name, ByteKind::any_zero, kPeerImages);
  const Runtime& runtime = *find_runtime("onnxruntime");
  const DeployedGraphOptions options{
      .byte_input = byte_input, .input = made.input, .opset = kUsualOpset, .ir_version = ir_version_of(kUsualOpset)};
  const OnnxModel model = deployed_graph(made.deployment.network, runtime, options);
  const EngineRun run = run_deployed_for(made.deployment.network, runtime, options, made.pictures);
  const std::vector<float> expected = expected_levels(model, run);
  const Found found = run_levels(python, model, run, expected.size());
  CHECK(count_different(found.levels, expected) == 0);
  CHECK(expected.size() > 10000);
  for (std::size_t i = 0; i < found.logits.size(); ++i)
    CHECK(found.logits[i] == Approx(run.logits.values[i]).margin(1e-4).epsilon(1e-4));
  CHECK(found.float_convolutions == 0);
  CHECK(found.float_additions == 0);
  CHECK(found.integer_convolutions == count_nodes(model, "Conv"));
  CHECK(found.integer_additions == count_nodes(model, "Add"));
}

TEST_CASE("OpenVINO says of pictures what the fused arithmetic says") {
  const std::string python = python_with({"openvino"});
  if (python.empty() || !describe_onnx().starts_with("protobuf ")) {
    WARN("SKIPPED: needs a build with ONNX, and BSQ_ONNXRUNTIME_PYTHON or build/peers with openvino");
    return;
  }
  const std::string name = GENERATE("resnet of 2 bits", "resnet of 8 bits", "vgg", "pools");
  INFO(name);
  const DeployedCase made = deployed_case(name, ByteKind::any_zero, kPeerImages);
  const DeployedGraphOptions options{
      .byte_input = true, .input = made.input, .opset = kUsualOpset, .ir_version = ir_version_of(kUsualOpset)};
  const Runtime& runtime = *find_runtime("openvino");
  const OnnxModel model = deployed_graph(made.deployment.network, runtime, options);
  const EngineRun run = run_deployed_for(made.deployment.network, runtime, options, made.pictures);
  const TemporaryFolder folder;
  write_file_atomically(folder / "m.onnx", onnx_bytes(model));
  write_file_atomically(folder / "images", bytes_as<std::uint8_t>(run.images.values));
  const std::string command =
      fmt::format("cd '{}' && '{}' '{}/tests/tools/export/onnx/run_openvino.py' m.onnx images logits > counts",
                  folder.path().string(), python, BSQ_SOURCE_DIR);
  REQUIRE(std::system(command.c_str()) == 0);
  const std::string bytes = text_of(folder / "logits");
  GraphTensor logits{run.logits.dims, std::vector<float>(run.logits.values.size())};
  REQUIRE(bytes.size() == 4 * logits.values.size());
  std::memcpy(logits.values.data(), bytes.data(), bytes.size());
  int equal = 0;
  const std::size_t classes = static_cast<std::size_t>(run.logits.dims[1]);
  for (std::size_t n = 0; n < kPeerImages; ++n) {
    bool same = true;
    for (std::size_t o = n * classes; o < (n + 1) * classes; ++o)
      same = same && std::abs(logits.values[o] - run.logits.values[o]) <=
                         1e-3F * std::max(1.0F, std::abs(run.logits.values[o]));
    equal += same ? 1 : 0;
  }
  INFO(equal << " of " << kPeerImages << " pictures have the same logits");
  CHECK(equal >= kPeerImages * 9 / 10);  // a level that falls elsewhere moves all behind it
  CHECK(compare_logits(run.logits, logits).same_class >= kPeerImages - 2);
  int integers = 0, all = 0;
  std::istringstream(text_of(folder / "counts")) >> integers >> all;
  CHECK(integers > 0);
  CHECK(integers == all);
}

}  // namespace bsq::test
