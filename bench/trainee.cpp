#include "bench/trainee.h"

#include "engine/input/image_set.h"
#include "engine/methods/methods.h"
#include "engine/methods/weight_forms.h"
#include "kernels/base/error.h"
#include "tools/session/config_schema.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <random>

namespace bsq::bench {
namespace {

constexpr int kBatches = 4;  // so many batches of images are made; their labels are random

ImageSet random_images(int count) {
  std::mt19937 random(1);
  ImageSet images({32, 32, std::vector<std::string>(10, "class")});
  images.pixels.resize(static_cast<std::size_t>(count) * images.info().image_bytes());
  for (std::uint8_t& value : images.pixels) value = static_cast<std::uint8_t>(random() & 0xFFU);
  for (int i = 0; i < count; ++i) images.labels.push_back(static_cast<std::int32_t>(random() % 10));
  return images;
}

AugmentRule augmentation() {
  return {.height = 32,
          .width = 32,
          .crop_padding = 4,
          .random_flip = true,
          .mean = {0.4914F, 0.4822F, 0.4465F},
          .std = {0.2023F, 0.1994F, 0.2010F}};
}

std::string mode_of(const StageChoice& stage) {
  return stage.widths == StageWidths::none ? "float" : stage.name;
}

const StageChoice& stage_of(const std::string& mode) {
  const std::vector<StageChoice>& stages = config_schema().stages();
  const auto found = std::ranges::find(stages, mode, mode_of);
  require(found != stages.end(), "no stage is measured as {}", mode);
  return *found;
}

std::unique_ptr<Method> make_method(const TraineeOptions& options) {
  Config config(config_schema());
  config.quant.weight_bits = options.weight_bits;
  return method_of_stage(stage_of(options.mode).name, config);
}

StoreMaker make_store(const TraineeOptions& options, const Method& method) {
  return [options, &method](DeviceMemory& memory, const ArenaLayout& layout, const float* gradients) {
    Weights start = initial_weights(layout, 1);
    if (stage_of(options.mode).widths == StageWidths::needs)
      start = convert_weights(kQuantizedForm, start, std::vector<int>(layout.slots.size(), options.weight_bits));
    return method.make_store(memory, layout, gradients, start);
  };
}

}  // namespace

std::vector<std::string> step_modes() {
  std::vector<std::string> modes;
  for (const StageChoice& stage : config_schema().stages())
    if (config_schema().training().contains(stage.name)) modes.push_back(mode_of(stage));
  return modes;
}

Trainee::Trainee(Backend& backend, const TraineeOptions& options)
    : backend_(backend),
      options_(options),
      method_(make_method(options)),
      memory_(backend),
      source_(memory_, random_images(kBatches * options.batch), "training"),
      model_(memory_, make_resnet({.depth = options.depth, .act_bits = options.act_bits}), dtype_of(options.precision),
             1, make_store(options, *method_)),
      step_(memory_, model_, source_,
            {.augment = augmentation(), .rule = {}, .batch_size = options.batch, .metrics_slots = options.burst},
            *alone_) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(source_.size()));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i);
  source_.begin_epoch(order);
}

BurstTimes Trainee::run_burst() {
  std::vector<PlannedStep> planned;
  for (int i = 0; i < options_.burst; ++i)
    planned.push_back({options_.batch,
                       {.learning_rate = 0.1F,
                        .first_sample = next_batch_++ % kBatches * options_.batch,
                        .method = method_->step_numbers(0)}});
  step_.plan(std::move(planned));
  backend_.synchronize();
  const std::clock_t cpu_start = std::clock();
  const auto start = std::chrono::steady_clock::now();
  const auto since_start = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  for (int i = 0; i < options_.burst; ++i) step_.run();
  BurstTimes times;
  times.enqueue_seconds = since_start() / options_.burst;
  backend_.synchronize();
  times.seconds = since_start() / options_.burst;
  times.cpu_seconds = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC / options_.burst;
  return times;
}

double Trainee::loss() const {
  const StepMetrics metrics = step_.metrics(0, 1).front();
  return metrics.loss_sum / static_cast<double>(metrics.samples) + method_->step_numbers(0)[0] * metrics.penalty;
}

double Trainee::planned_mib() const {
  return static_cast<double>(memory_.total_bytes()) / (1 << 20);
}

}  // namespace bsq::bench
