#include "tools/export/onnx/engine_run.h"

#include "engine/input/resident_source.h"
#include "engine/methods/weight_forms.h"
#include "engine/model/model.h"
#include "kernels/base/error.h"
#include "tools/export/onnx/network_graph.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace bsq {
namespace {

/// A tensor of the engine, [N, H, W, C] -> [N, C, H, W]: the way from OHWI to OIHW, images for output channels.
GraphTensor to_nchw(Backend& backend, const TensorView& view) {
  require(view.pitch == 0, "what is compared is a part of wider pixels");
  const auto numel = static_cast<std::size_t>(view.shape.numel());
  return {file_shape(view.shape), to_file_layout(download_array(backend, view.as<float>(), numel), view.shape)};
}

/// The levels that a quantizer has written: integers, or the numbers that they stand for from an offset on.
GraphTensor levels_in(const Model& model, const OutputQuantizer& quantizer, Backend& backend, const TensorView& view) {
  GraphTensor levels = to_nchw(backend, view);
  if (quantizer.offset < 0) return levels;
  const auto number = [&](ParameterId id) {
    return download_array(backend, model.parameters().values[static_cast<std::size_t>(id)].as<float>(), 1).front();
  };
  const float step = number(quantizer.clip), offset = number(quantizer.offset);
  for (float& value : levels.values) value = std::nearbyint((value - offset) / step);
  return levels;
}

std::ptrdiff_t class_of(const GraphTensor& logits, std::int64_t image) {
  const auto row = logits.values.begin() + image * logits.dims[1];
  return std::max_element(row, row + logits.dims[1]) - row;
}

}  // namespace

EngineRun run_engine(Backend& backend, Network network, const TensorFile& plain, const Weights& weights,
                     const Dataset& images, const InputOptions& input, int batch) {
  const ActScale act_scale = depends_on_batch(network) ? ActScale::batch_max : ActScale::calibrated;
  DeviceMemory memory(backend);
  Model model(memory, std::move(network), DType::f32, /*seed=*/0,
              store_of([&](const ArenaLayout&) { return weights; }));
  model.load_plain(plain);
  ResidentSource source(memory, images, "images to compare on");
  Executor executor(memory, model.network(), model.parameters(), batch, DType::f32, ExecutionMode::tracing);
  const Buffer labels = memory.allocate_array<std::int32_t>("labels", static_cast<std::size_t>(batch));
  const Buffer inputs = memory.allocate_array<StepInputs>("step inputs", 1);
  std::vector<std::int32_t> order(static_cast<std::size_t>(source.size()));
  std::iota(order.begin(), order.end(), 0);
  source.begin_epoch(order);
  source.stage(0, batch);
  upload_array(backend, inputs.as<StepInputs>(), std::vector<StepInputs>(1));
  backend.augment({plain_input(input), source.rows(), inputs.as<StepInputs>(), batch, executor.images(batch),
                   labels.as<std::int32_t>()});
  executor.forward(batch, {.act_scale = act_scale});

  EngineRun run;
  run.images = to_nchw(backend, executor.images(batch));
  run.logits = to_nchw(backend, executor.logits(batch));
  const std::vector<Node>& nodes = model.network().nodes();
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (const std::string name = rounding_node(nodes[i]); !name.empty())
      run.guide.levels[name] =
          levels_in(model, *nodes[i].layer->quantizer(), backend, executor.tensor(static_cast<TensorId>(i) + 1, batch));
  return run;
}

LogitComparison compare_logits(const GraphTensor& expected, const GraphTensor& found) {
  if (expected.dims != found.dims || expected.dims.size() != 2)
    fail(ErrorKind::verification, "the logits differ in shape");
  LogitComparison result{.images = expected.dims[0]};
  for (std::size_t i = 0; i < expected.values.size(); ++i) {
    const double apart = std::abs(double{expected.values[i]} - found.values[i]);
    result.largest_difference =
        std::isfinite(apart) ? std::max(result.largest_difference, apart) : std::numeric_limits<double>::infinity();
    result.largest_logit = std::max(result.largest_logit, std::abs(double{expected.values[i]}));
  }
  for (std::int64_t n = 0; n < result.images; ++n) result.same_class += class_of(expected, n) == class_of(found, n);
  return result;
}

}  // namespace bsq
