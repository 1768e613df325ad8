#include "tests/golden/trace.h"

#include <fmt/core.h>

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

void on_every_backend(Comparison& comparison, const std::function<void(Backend&)>& compare) {
  for (const char* device : {"reference", "cpu", "cuda"}) {
    std::unique_ptr<Backend> backend;
    try {
      backend = make_backend(device, {});
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::device) throw;
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
  const auto bits = static_cast<std::size_t>(planes.shape.back());
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
