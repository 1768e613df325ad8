#include "engine/deployed/deployed_file.h"

#include "engine/deployed/check_deployed.h"
#include "kernels/base/error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>

namespace bsq {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;
constexpr int kSigned = 128;  // what is added to a signed byte
constexpr const char* kConvolution = "convolution";
constexpr const char* kSum = "sum";
constexpr const char* kMaximum = "maximum";
constexpr const char* kConcat = "concat";
constexpr const char* kFlatten = "flatten";

template <typename T>
HostTensor tensor_of(const std::string& name, std::vector<std::int64_t> shape, const std::vector<T>& values) {
  return HostTensor::from<T>(name, std::move(shape), std::span<const T>(values));
}

json shape_json(const LevelOperation& operation) {
  if (const auto* c = std::get_if<LevelConvolution>(&operation))
    return {{"operation", kConvolution},
            {"kernel", c->kernel},
            {"stride", c->stride},
            {"padding", c->padding},
            {"groups", c->groups}};
  if (const auto* pool = std::get_if<LevelMaximum>(&operation))
    return {{"operation", kMaximum}, {"kernel", pool->kernel}, {"stride", pool->stride}, {"padding", pool->padding}};
  if (std::holds_alternative<LevelSum>(operation)) return {{"operation", kSum}};
  return {{"operation", std::holds_alternative<LevelConcat>(operation) ? kConcat : kFlatten}};
}

void add_convolution(const LevelConvolution& c, const std::string& name, TensorFile& file) {
  const auto outputs = static_cast<std::int64_t>(c.scale.size());
  const auto inputs = static_cast<std::int64_t>(c.k.size()) / (outputs * c.kernel * c.kernel);
  std::vector<std::uint8_t> k;
  for (const std::int8_t level : c.k) k.push_back(static_cast<std::uint8_t>(level + kSigned));
  file.tensors.push_back(tensor_of(name + ".k", {outputs, c.kernel, c.kernel, inputs}, k));
  file.tensors.push_back(tensor_of(name + ".scale", {outputs}, c.scale));
  file.tensors.push_back(tensor_of(name + ".offset", {outputs}, c.offset));
  file.tensors.push_back(tensor_of(name + ".bias", {outputs}, c.bias));
}

/// Reads a file part by part; what is wrong is an error that names the file.
class Reader {
 public:
  explicit Reader(const TensorFile& file) : file_(file) {}

  DeployedNetwork read() {
    const json network = parsed();
    want(integer(network, "version", 1, std::numeric_limits<int>::max()) == kVersion,
         "is of another version of the format");
    read_tensors(part(network, "tensors"));
    read_nodes(part(network, "nodes"));
    read_pixels();
    read_head(integer(part(network, "head"), "input", 0, std::numeric_limits<int>::max()));
    if (const std::string fault = fault_of(network_); !fault.empty()) refuse(fault);
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) derive(network_.nodes[i], i + 1);
    return std::move(network_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    fail(ErrorKind::checkpoint, "{}: is no deployed model: {}", file_.path.string(), what);
  }
  void want(bool holds, const std::string& what) const {
    if (!holds) refuse(what);
  }

  json parsed() const {
    const auto found = file_.metadata.find(std::string(kDeployedForm));
    want(found != file_.metadata.end(), "its metadata lack 'deployed'");
    json network = json::parse(found->second, nullptr, /*allow_exceptions=*/false);
    want(network.is_object(), "'deployed' is no JSON object");
    return network;
  }
  const json& part(const json& of, const char* key) const {
    want(of.is_object() && of.contains(key), fmt::format("'{}' is missing", key));
    return of.at(key);
  }
  int integer(const json& of, const char* key, int least, int most) const {
    const json& value = part(of, key);
    want(value.is_number_integer(), fmt::format("'{}' is no integer", key));
    const auto number = value.get<std::int64_t>();
    want(least <= number && number <= most, fmt::format("'{}' is {}", key, number));
    return static_cast<int>(number);
  }
  template <typename T>
  std::vector<T> values(const std::string& name, const std::vector<std::int64_t>& shape) const {
    const HostTensor& tensor = file_.at(name);
    want(tensor.shape == shape, fmt::format("{} has another shape", name));
    const std::span<const T> numbers = tensor.values<T>();
    return {numbers.begin(), numbers.end()};
  }

  void read_tensors(const json& tensors) {
    constexpr int kMostSide = 1 << 16;
    want(tensors.is_array() && !tensors.empty(), "'tensors' is no list");
    const std::vector<float> units = values<float>("units", {static_cast<std::int64_t>(tensors.size())});
    for (const json& one : tensors) {
      const json &name = part(one, "name"), &shape = part(one, "shape");
      want(name.is_string() && shape.is_array() && shape.size() == 3, "a tensor lacks a name or a shape");
      DeployedTensor& tensor = network_.tensors.emplace_back();
      tensor.name = name.get<std::string>();
      int* const sides[] = {&tensor.height, &tensor.width, &tensor.channels};
      for (std::size_t i = 0; i < 3; ++i) {
        want(shape[i].is_number_integer(), "a side is no integer");
        const auto side = shape[i].get<std::int64_t>();
        want(1 <= side && side <= kMostSide, fmt::format("{} has a side of {}", tensor.name, side));
        *sides[i] = static_cast<int>(side);
      }
      tensor.grid = {units[network_.tensors.size() - 1], integer(one, "zero", 0, 255), integer(one, "top", 0, 255)};
    }
  }

  void read_nodes(const json& nodes) {
    want(nodes.is_array() && nodes.size() + 1 == network_.tensors.size(), "'nodes' are not one per tensor");
    for (const json& one : nodes) {
      DeployedNode& node = network_.nodes.emplace_back();
      const auto writes = static_cast<int>(network_.nodes.size());
      const json& inputs = part(one, "inputs");
      want(inputs.is_array() && !inputs.empty(), "a node reads nothing");
      for (const json& input : inputs) {
        want(input.is_number_integer(), "an input is no integer");
        const auto number = input.get<std::int64_t>();
        want(0 <= number && number < writes, fmt::format("a node reads tensor {}", number));
        node.inputs.push_back(static_cast<int>(number));
      }
      node.operation = operation(one, network_.tensors[static_cast<std::size_t>(writes)].name);
    }
  }

  LevelOperation operation(const json& one, const std::string& name) {
    constexpr int kMost = 1 << 16;
    const json& kind = part(one, "operation");
    if (kind == kSum) return LevelSum{};
    if (kind == kConcat) return LevelConcat{};
    if (kind == kFlatten) return LevelFlatten{};
    want(kind == kConvolution || kind == kMaximum, "an operation that there is not");
    const int kernel = integer(one, "kernel", 1, 1 << 10), stride = integer(one, "stride", 1, 1 << 10),
              padding = integer(one, "padding", 0, kernel - 1);
    if (kind == kMaximum) return LevelMaximum{kernel, stride, padding};
    LevelConvolution c;
    c.kernel = kernel;
    c.stride = stride;
    c.padding = padding;
    c.groups = integer(one, "groups", 1, kMost);
    const std::vector<std::int64_t>& shape = file_.at(name + ".k").shape;
    want(shape.size() == 4 && shape[1] == kernel && shape[2] == kernel, name + ".k has another shape");
    for (const std::uint8_t level : values<std::uint8_t>(name + ".k", shape))
      c.k.push_back(static_cast<std::int8_t>(level - kSigned));
    c.scale = values<float>(name + ".scale", {shape[0]});
    c.offset = values<float>(name + ".offset", {shape[0]});
    c.bias = values<std::int32_t>(name + ".bias", {shape[0]});
    return c;
  }

  void read_pixels() {
    const int channels = network_.tensors[0].channels;
    const std::vector<std::uint8_t> levels = values<std::uint8_t>("pixels", {channels, 256});
    network_.pixels.resize(static_cast<std::size_t>(channels));
    for (std::size_t i = 0; i < levels.size(); ++i) network_.pixels[i / 256][i % 256] = levels[i];
  }

  void read_head(int input) {
    want(input < static_cast<int>(network_.tensors.size()), "the head reads a tensor that there is not");
    const std::vector<std::int64_t>& shape = file_.at("head.k").shape;
    want(shape.size() == 2, "head.k has another shape");
    DeployedHead& head = network_.head;
    head.input = input;
    for (const std::int32_t k : values<std::int32_t>("head.k", shape)) {
      want(-32767 <= k && k <= 32767, "head.k has numbers of more than 16 bits");
      head.k.push_back(static_cast<std::int16_t>(k));
    }
    head.scale = values<float>("head.scale", {shape[0]});
    head.offset = values<float>("head.offset", {shape[0]});
  }

  /// What follows from the grids.
  void derive(DeployedNode& node, std::size_t writes) {
    const LevelGrid& y = network_.tensors[writes].grid;
    std::vector<LevelGrid> inputs;
    for (const int input : node.inputs) inputs.push_back(network_.tensors[static_cast<std::size_t>(input)].grid);
    if (auto* c = std::get_if<LevelConvolution>(&node.operation))
      for (const float scale : c->scale) c->multiplier.push_back(multiplier_of(inputs[0], scale, y));
    if (auto* sum = std::get_if<LevelSum>(&node.operation)) *sum = sum_of(inputs[0], inputs[1], y);
    if (auto* concat = std::get_if<LevelConcat>(&node.operation)) *concat = concat_of(inputs, y);
  }

  const TensorFile& file_;
  DeployedNetwork network_;
};

}  // namespace

bool is_deployed(const TensorFile& file) {
  const auto form = file.metadata.find("form");
  return form != file.metadata.end() && form->second == kDeployedForm;
}

TensorFile deployed_file(const DeployedNetwork& network) {
  TensorFile file;
  json tensors = json::array(), nodes = json::array();
  std::vector<float> units;
  for (const DeployedTensor& tensor : network.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"shape", {tensor.height, tensor.width, tensor.channels}},
                       {"zero", tensor.grid.zero},
                       {"top", tensor.grid.top}});
    units.push_back(tensor.grid.unit);
  }
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const DeployedNode& node = network.nodes[i];
    json& one = nodes.emplace_back(shape_json(node.operation));
    one["inputs"] = node.inputs;
    if (const auto* c = std::get_if<LevelConvolution>(&node.operation))
      add_convolution(*c, network.tensors[i + 1].name, file);
  }
  const json all = {{"version", kVersion},
                    {"tensors", std::move(tensors)},
                    {"nodes", std::move(nodes)},
                    {"head", {{"input", network.head.input}}}};
  file.metadata = {{"form", std::string(kDeployedForm)}, {std::string(kDeployedForm), all.dump()}};
  file.tensors.push_back(tensor_of("units", {static_cast<std::int64_t>(units.size())}, units));
  std::vector<std::uint8_t> pixels;
  for (const auto& color : network.pixels) pixels.insert(pixels.end(), color.begin(), color.end());
  file.tensors.push_back(tensor_of("pixels", {static_cast<std::int64_t>(network.pixels.size()), 256}, pixels));
  const DeployedHead& head = network.head;
  const auto classes = static_cast<std::int64_t>(head.classes());
  const std::vector<std::int32_t> k(head.k.begin(), head.k.end());
  file.tensors.push_back(tensor_of("head.k", {classes, static_cast<std::int64_t>(k.size()) / classes}, k));
  file.tensors.push_back(tensor_of("head.scale", {classes}, head.scale));
  file.tensors.push_back(tensor_of("head.offset", {classes}, head.offset));
  return file;
}

DeployedNetwork read_deployed(const TensorFile& file) {
  return Reader(file).read();
}

}  // namespace bsq
