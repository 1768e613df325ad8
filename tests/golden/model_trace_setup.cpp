#include "tests/golden/model_trace_setup.h"

#include "models/families.h"
#include "tests/golden/trace.h"
#include "tests/support/config.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace bsq::golden {
namespace {

std::uint64_t fnv(std::string_view name) {
  std::uint64_t f = 0xCBF29CE484222325U;
  for (const char byte : name) f = (f ^ static_cast<unsigned char>(byte)) * 0x100000001B3U;
  return f;
}

std::uint64_t mix(std::uint64_t z) {
  z += 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

/// The family, and the depth if the name of the architecture says it: vgg11_bn, resnet50.
std::pair<std::string, int> family_of(const std::string& arch) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (arch.starts_with("vgg")) {
    const bool has_norms = arch.ends_with("_bn");
    return {has_norms ? "vgg_bn" : "vgg", std::stoi(arch.substr(3))};
  }
  if (arch.starts_with("resnet") && arch.size() > 6 && is_digit(arch[6]))
    return {"torchvision_resnet", std::stoi(arch.substr(6))};
  return {arch, 0};
}

/// A published option as a key of the family.
void set_option(Config& config, const std::string& name, const nlohmann::json& value) {
  const std::map<std::string, std::string> renamed = {{"block_name", "block"}, {"dropout", "drop_rate"}};
  const auto found = renamed.find(name);
  const std::string leaf = found == renamed.end() ? name : found->second;
  const ConfigKey* key = config.schema().find("model." + leaf);
  if (key == nullptr) fail(ErrorKind::checkpoint, "option '{}' of a network is unknown", name);
  if (value.is_string()) {
    const std::string text = value.get<std::string>();
    config.set_family(leaf, text == "BasicBlock" ? "basic" : text == "Bottleneck" ? "bottleneck" : text);
  } else if (std::holds_alternative<double>(key->standard)) {
    config.set_family(leaf, value.get<double>());
  } else {
    config.set_family(leaf, value.get<int>());
  }
}

TracedTensor tensor_from(const nlohmann::json& json) {
  TracedTensor tensor{.name = json.at("name"),
                      .shape = json.at("shape"),
                      .trained = json.at("trained"),
                      .amplitude = json.at("amplitude"),
                      .offset = json.at("offset"),
                      .stride = json.at("stride"),
                      .after1_norm = json.at("after1_norm"),
                      .init = json.at("init"),
                      .init_value = json.at("init_value")};
  if (tensor.trained) tensor.grad_norm = json.at("grad_norm");
  if (json.contains("zero_gradient_scale")) tensor.zero_gradient_scale = json.at("zero_gradient_scale");
  return tensor;
}

std::vector<float> three_at(const TensorFile& file, const std::string& key) {
  const std::vector<float> values = json_at(file, key);
  if (values.size() != 3) fail(ErrorKind::checkpoint, "{}: {} has {} values", file.path.string(), key, values.size());
  return values;
}

}  // namespace

std::int64_t TracedTensor::numel() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::uint64_t start_bits(std::string_view name, std::uint64_t seed, std::uint64_t i) {
  return mix(mix(fnv(name) + seed) + i);
}

NetworkSpec published_network(const std::string& arch, const nlohmann::json& options, const Shape& image, int classes) {
  const auto [name, depth] = family_of(arch);
  const auto& families = network_families();
  const auto family = std::find_if(families.begin(), families.end(),
                                   [&](const NetworkFamily& candidate) { return candidate.name == name; });
  if (family == families.end()) fail(ErrorKind::checkpoint, "no family of networks {}", name);
  Config config = test::default_config();
  config.model.arch = name;
  if (depth > 0) config.set_family("depth", depth);
  for (const auto& [key, value] : options.items()) set_option(config, key, value);
  if (const std::vector<Conflict> conflicts = find_conflicts(config); !conflicts.empty())
    fail(ErrorKind::usage, "{}", conflicts.front().what);
  return family->make(config, image, classes);
}

ModelTrace read_model_trace(const TensorFile& file) {
  try {
    const std::vector<std::int64_t> image = json_at(file, "image");
    if (image.size() != 2) fail(ErrorKind::checkpoint, "{}: image has {} sizes", file.path.string(), image.size());
    ModelTrace trace{.file = file};
    trace.classes = integer_at(file, "num_classes", 1, 1 << 16);
    trace.network =
        published_network(metadata(file, "arch"), json_at(file, "options"), {image[0], image[1], 3}, trace.classes);
    for (const nlohmann::json& entry : json_at(file, "tensors")) trace.tensors.push_back(tensor_from(entry));
    trace.batch = integer_at(file, "batch", 1, 1 << 16);
    trace.steps = integer_at(file, "steps", 1, 100);
    trace.mean = three_at(file, "mean");
    trace.std = three_at(file, "std");
    return trace;
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::checkpoint, "{}: {}", file.path.string(), error.what());
  }
}

TensorFile initial_model(const ModelTrace& trace) {
  TensorFile model;
  model.path = trace.file.path;
  const std::uint64_t seed = std::stoull(metadata(trace.file, "seed"));
  for (const TracedTensor& tensor : trace.tensors) {
    const std::int64_t count = tensor.numel();
    std::vector<float> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto upper = static_cast<double>(start_bits(tensor.name, seed, i) >> 48);
      values[i] = static_cast<float>(tensor.offset + tensor.amplitude * (2 * upper - 65535) / 65536);
    }
    if (trace.file.find("init." + tensor.name) != nullptr) {
      const auto stored = values_at(trace.file, "init." + tensor.name, count);
      values.assign(stored.begin(), stored.end());
    }
    model.tensors.push_back(HostTensor::from<float>(tensor.name, tensor.shape, values));
  }
  return model;
}

}  // namespace bsq::golden
