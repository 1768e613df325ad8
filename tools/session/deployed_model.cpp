#include "tools/session/deployed_model.h"

#include "data/datasets.h"
#include "engine/deployed/device_program.h"
#include "engine/deployed/value_ranges.h"
#include "engine/training/experiment.h"
#include "kernels/base/error.h"
#include "tools/session/model_config.h"

#include <algorithm>
#include <cmath>
#include <memory>

namespace bsq {
namespace {

ValueRanges ranges_of(const OpenModel& model, const Weights& weights, const Network& network,
                      const DeploymentPlan& plan, const Config& config, Backend& backend) {
  if (ValueRanges trained = trained_ranges(network, plan, model.file); has_all(trained, plan)) return trained;
  const DataSplits data = open_datasets(config);
  return find_ranges(backend, network, plan, model.file, weights,
                     {.images = *data.train,
                      .input = input_options(config, data.train->info()),
                      .batch_size = config.data.eval_batch_size,
                      .batches = config.quant.calibration_batches,
                      .seed = config.seed});
}

Deployment deployed(const OpenModel& model, const Weights& weights, const Network& network, const DeploymentPlan& plan,
                    const ValueRanges& ranges, const Config& config, ByteKind bytes) {
  const Shape& image = network.image();
  const InputOptions input = input_options(config, {.height = static_cast<int>(image[0]),
                                                    .width = static_cast<int>(image[1]),
                                                    .class_names = {},
                                                    .channels = static_cast<int>(image[2])});
  return deploy(network, plan, ParameterNumbers(network, model.file, *weights), ranges, input, bytes);
}

/// Places of the label's logit among all: 0 is the largest. Of equal ones the first is the larger.
std::int64_t place_of(std::span<const float> logits, std::int32_t label) {
  const float own = logits[static_cast<std::size_t>(label)];
  std::int64_t larger = 0;
  for (std::size_t i = 0; i < logits.size(); ++i)
    larger += logits[i] > own || (logits[i] == own && i < static_cast<std::size_t>(label));
  return larger;
}

constexpr int kAtOnce = 256;  // pictures
using PicturesToLogits = std::function<std::vector<float>(std::span<const std::uint8_t> pictures)>;

PicturesToLogits program_of(const DeployedNetwork& network, Backend& backend, int threads, Arithmetic arithmetic) {
  if (arithmetic != Arithmetic::integers || backend.name() == "cpu")  // whose loops are the fastest for a processor
    return [program = std::make_shared<DeployedProgram>(network, arithmetic), threads](auto pictures) {
      return program->run(pictures, threads);
    };
  return [program = std::make_shared<DeviceProgram>(network, backend, kAtOnce)](auto pictures) {
    return program->run(pictures);
  };
}

double cross_entropy(std::span<const float> logits, std::int32_t label) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return std::log(sum) + largest - double{logits[static_cast<std::size_t>(label)]};
}

}  // namespace

std::string deployment_obstacle(const Network& network, const Config& config) {
  if (config.quant.act_bits == 0) return "its activations are not quantized";
  if (config.quant.act_scale != "calibrated" && depends_on_batch(network))
    return "its activations are scaled by the maximum of each batch";
  return plan_deployment(network).obstacle;
}

bool has_all_ranges(const OpenModel& model, const Network& network) {
  const DeploymentPlan plan = plan_deployment(network);
  return has_all(trained_ranges(network, plan, model.file), plan);
}

Deployment deploy_model(const OpenModel& model, const Weights& weights, const Network& network, const Config& config,
                        Backend& backend, ByteKind bytes) {
  const std::string path = model.file.path.string();
  if (const std::string obstacle = deployment_obstacle(network, config); !obstacle.empty())
    fail(ErrorKind::usage, "{}: has no deployed form: {}{}", path, obstacle,
         config.quant.act_bits > 0 && config.quant.act_scale != "calibrated" && depends_on_batch(network)
             ? "; calibrate it: " + calibration_command(path)
             : "");
  uses_calibrated_scales(model, config);  // or throws
  const DeploymentPlan plan = plan_deployment(network);
  return deployed(model, weights, network, plan, ranges_of(model, weights, network, plan, config, backend), config,
                  bytes);
}

EvalResult evaluate_deployed(const DeployedNetwork& network, const Dataset& images, Backend& backend, int threads,
                             Arithmetic arithmetic, const std::function<void(std::int64_t done)>& watch) {
  const std::size_t bytes = network.tensors[0].numel();
  const auto classes = static_cast<std::size_t>(network.head.classes());
  require(bytes == static_cast<std::size_t>(images.info().image_bytes()), "the images have another size");
  const PicturesToLogits run = program_of(network, backend, threads, arithmetic);
  EvalResult result;
  for (std::int64_t first = 0; first < images.size(); first += kAtOnce) {
    const std::int64_t count = std::min(std::int64_t{kAtOnce}, images.size() - first);
    std::vector<std::uint8_t> pictures(static_cast<std::size_t>(count) * bytes);
    for (std::int64_t i = 0; i < count; ++i)
      images.read(first + i, std::span(pictures).subspan(static_cast<std::size_t>(i) * bytes, bytes));
    const std::vector<float> logits = run(pictures);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::span<const float> own(logits.data() + static_cast<std::size_t>(i) * classes, classes);
      const std::int32_t label = images.label(first + i);
      const std::int64_t place = place_of(own, label);
      result.top1 += place < 1;
      result.top5 += place < 5;
      result.loss_sum += cross_entropy(own, label);
      ++result.samples;
    }
    if (watch) watch(result.samples);
  }
  return result;
}

}  // namespace bsq
