// The deployed arithmetic beside a graph of it.
#include "engine/deployed/deploy.h"
#include "engine/deployed/deployed_run.h"
#include "kernels/base/error.h"
#include "tools/export/onnx/deployed_graph.h"

#include <algorithm>
#include <set>

namespace bsq {
namespace {

/// [H, W, C] of one picture behind the others, [C, H, W], less an offset.
void append_planes(const std::vector<std::uint8_t>& levels, const DeployedTensor& tensor, int offset,
                   std::vector<float>& to) {
  const auto channels = static_cast<std::size_t>(tensor.channels);
  const std::size_t pixels = tensor.numel() / channels;
  for (std::size_t c = 0; c < channels; ++c)
    for (std::size_t pixel = 0; pixel < pixels; ++pixel)
      to.push_back(static_cast<float>(levels[pixel * channels + c] - offset));
}

GraphTensor graph_images(const DeployedNetwork& network, const DeployedGraphOptions& options,
                         std::span<const std::uint8_t> pictures, std::int64_t count) {
  const DeployedTensor& image = network.tensors[0];
  GraphTensor images{{count, image.channels, image.height, image.width}, {}};
  if (options.byte_input) images.type = OnnxType::uint8;
  const auto channels = static_cast<std::size_t>(image.channels);
  const std::size_t pixels = image.numel() / channels;
  for (std::size_t n = 0; n < static_cast<std::size_t>(count); ++n) {
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
        const int byte = pictures[(n * pixels + pixel) * channels + c];
        images.values.push_back(options.byte_input ? static_cast<float>(byte) : pixel_number(options.input, c, byte));
      }
    }
  }
  return images;
}

}  // namespace

EngineRun run_deployed_for(const DeployedNetwork& network, const Runtime& runtime, const DeployedGraphOptions& options,
                           std::span<const std::uint8_t> pictures) {
  const std::size_t bytes = network.tensors[0].numel();
  const auto count = static_cast<std::int64_t>(pictures.size() / bytes);
  const auto classes = static_cast<std::size_t>(network.head.classes());
  const bool is_signed = runtime.bytes == ByteKind::signed_zero;
  EngineRun run{.images = graph_images(network, options, pictures, count),
                .logits = {{count, network.head.classes()}, {}},
                .guide = {}};
  run.logits.values.resize(static_cast<std::size_t>(count) * classes);
  const DeployedProgram program(network, runtime.arithmetic);
  for (std::size_t n = 0; n < static_cast<std::size_t>(count); ++n) {
    const PictureLevels levels =
        program.trace(pictures.subspan(n * bytes, bytes), std::span(run.logits.values).subspan(n * classes, classes));
    for (std::size_t i = 0; i < levels.size(); ++i) {
      const DeployedTensor& tensor = network.tensors[i];
      if (levels[i].empty()) continue;
      GraphTensor& all = run.guide.levels[tensor.name + ".round"];
      all.dims = {count, tensor.channels, tensor.height, tensor.width};
      append_planes(levels[i], tensor, is_signed ? sign_offset(tensor.grid) : 0, all.values);
    }
  }
  for (std::size_t i = 0; i < network.tensors.size(); ++i) {
    const std::string name = network.tensors[i].name + ".round";
    const LevelGrid& grid = network.tensors[i].grid;
    const int offset = is_signed ? sign_offset(grid) : 0;
    run.guide.limits[name] = {-offset, grid.top - offset};
  }
  return run;
}

IntegerShare integer_share(const OnnxModel& model, const Runtime& runtime) {
  std::map<std::string, const OnnxNode*> writers;
  std::map<std::string, std::set<std::string>> readers;  // their operators
  for (const OnnxNode& node : model.nodes) {
    writers[node.outputs[0]] = &node;
    for (const std::string& input : node.inputs) readers[input].insert(node.op);
  }
  std::map<std::string, OnnxType> types;
  for (const OnnxTensor& tensor : model.initializers) types[tensor.name] = tensor.type;
  const auto levels = [&](const std::string& name) -> const OnnxNode* {
    const auto found = writers.find(name);
    return found != writers.end() && found->second->op == "DequantizeLinear" ? found->second : nullptr;
  };
  IntegerShare share;
  for (const OnnxNode& node : model.nodes) {
    if (node.op != "Conv") continue;
    ++share.convolutions;
    const OnnxNode* filter = levels(node.inputs[1]);
    if (levels(node.inputs[0]) == nullptr || filter == nullptr || types[filter->inputs[0]] != OnnxType::int8) continue;
    const bool is_rounded = readers[node.outputs[0]] == std::set<std::string>{"QuantizeLinear"};
    const bool has_levels = node.inputs.size() < 3 || levels(node.inputs[2]) != nullptr;
    if (runtime.arithmetic != Arithmetic::integers || (is_rounded && has_levels)) ++share.integers;
  }
  return share;
}

}  // namespace bsq
