#include "tests/golden/trace.h"

#include "engine/methods/bsq/bit_planes.h"
#include "kernels/devices.h"

#include <fmt/core.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>

namespace bsq::golden {
namespace {

std::filesystem::path published_checkpoint(const TensorFile& trace) {
  if (const char* path = std::getenv("BSQ_GOLDEN_CHECKPOINT"); path != nullptr && *path != '\0') return path;
  return std::filesystem::absolute(trace.path).parent_path().parent_path() / "data/resnet20-cifar10-fp32.safetensors";
}

}  // namespace

const std::string& metadata(const TensorFile& trace, const std::string& key) {
  const auto found = trace.metadata.find(key);
  if (found == trace.metadata.end()) {
    fail(ErrorKind::checkpoint, "{}: no metadata '{}'; not a reference trace?", trace.path.string(), key);
  }
  return found->second;
}

double number_at(const TensorFile& trace, const std::string& key) {
  const std::string& text = metadata(trace, key);
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(number))
    fail(ErrorKind::checkpoint, "{}: metadata '{}' is '{}', expected a number", trace.path.string(), key, text);
  return number;
}

int integer_at(const TensorFile& trace, const std::string& key, int smallest, int largest) {
  const double number = number_at(trace, key);
  if (number != std::floor(number) || number < smallest || number > largest)
    fail(ErrorKind::checkpoint, "{}: metadata '{}' is {}, expected an integer of {}..{}", trace.path.string(), key,
         number, smallest, largest);
  return static_cast<int>(number);
}

nlohmann::json json_at(const TensorFile& trace, const std::string& key) {
  nlohmann::json value = nlohmann::json::parse(metadata(trace, key), nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) fail(ErrorKind::checkpoint, "{}: metadata '{}' is no JSON", trace.path.string(), key);
  return value;
}

std::span<const float> values_at(const TensorFile& trace, const std::string& name, std::int64_t count) {
  const HostTensor& tensor = trace.at(name);
  if (tensor.numel() != count)
    fail(ErrorKind::checkpoint, "{}: {} holds {} values, expected {}", trace.path.string(), name, tensor.numel(),
         count);
  return tensor.values<float>();
}

float scalar_at(const TensorFile& trace, const std::string& name) {
  return values_at(trace, name, 1)[0];
}

void on_every_backend(Comparison& comparison, const std::function<void(Backend&)>& compare) {
  const char* only = std::getenv("BSQ_TEST_DEVICE");
  for (const std::string device : {"reference", "cpu", "cuda"}) {
    if (only != nullptr && device != only) continue;
    std::unique_ptr<Backend> backend;
    try {
      backend = make_backend(device, {});
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::device) throw;
      if (only != nullptr) throw Skipped(error.what());
      comparison.note(fmt::format("not run: {}", error.what()));
      continue;
    }
    compare(*backend);
  }
}

Activation activation_named(const std::string& name) {
  for (const Activation activation : {Activation::none, Activation::relu, Activation::relu6, Activation::pact}) {
    if (name == name_of(activation)) return activation;
  }
  fail(ErrorKind::checkpoint, "reference trace: unknown activation '{}'", name);
}

std::vector<float> plane_major(const HostTensor& planes) {
  const auto values = planes.values<float>();
  const std::int64_t width = planes.shape.empty() ? 0 : planes.shape.back();
  if (width < 1 || width > kMaxBits || values.empty())
    fail(ErrorKind::checkpoint, "{}: {} values in {} bit planes, expected some in 1..{}", planes.name, values.size(),
         width, kMaxBits);
  const auto bits = static_cast<std::size_t>(width);
  const std::size_t numel = values.size() / bits;
  std::vector<float> result(values.size());
  for (std::size_t i = 0; i < numel; ++i) {
    for (std::size_t plane = 0; plane < bits; ++plane) result[plane * numel + i] = values[i * bits + plane];
  }
  return result;
}

TensorFile initial_float_model(const TensorFile& trace) {
  constexpr std::string_view prefix = "init.";
  TensorFile model;
  model.path = trace.path;
  for (const HostTensor& tensor : trace.tensors) {
    if (!tensor.name.starts_with(prefix)) continue;
    model.tensors.push_back(tensor);
    model.tensors.back().name.erase(0, prefix.size());
  }
  if (!model.tensors.empty()) return model;

  const std::filesystem::path path = published_checkpoint(trace);
  if (!std::filesystem::exists(path)) {
    throw Skipped(fmt::format("no float checkpoint at {}; set BSQ_GOLDEN_CHECKPOINT", path.string()));
  }
  return read_safetensors(path);
}

}  // namespace bsq::golden
