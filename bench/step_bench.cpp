// Seconds of a whole training step of a CIFAR ResNet, float and BSQ, in the keys of pytorch_bsq.py: one line of JSON a
// mode.
//
//   step_bench [--mode=float|bsq|both] [--precision=fp32|tf32|bf16] [--act-bits=4] [--batch=128] [--depth=20]
//              [--bits=8] [--threads=N] [--steps=20] [--burst=1] [--warmup=3] [--device=cpu]
//
// A step is what `bsq train` does: weights from masters, augmentation (crop, flip, normalise: more than the peer's step
// does), forward, loss, backward, update with clamp. With `both` the two kinds of steps alternate, so that a machine
// that slows down slows both, and the BSQ line says bsq_over_float, the median of the ratios of neighbours.
//
// --burst: steps that are enqueued one behind the other, with one wait at their end, as training does; 1 waits for
// each. Seconds are those of a burst over its steps, and so are the seconds in which the host enqueued it
// (median_enqueue_s); a device that is fed well takes longer than the host. `steps` and `warmup` count bursts.
#include "engine/batch_source.h"
#include "engine/training_step.h"
#include "kernels/error.h"
#include "models/resnet.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

namespace bsq::bench {
namespace {

constexpr float kAlpha = 5e-3F;
constexpr int kBatches = 4;  // batches of images there are; labels are random

using Options = std::map<std::string, std::string>;

Options parse(int argc, char** argv) {
  Options options{{"mode", "both"}, {"precision", "fp32"}, {"act-bits", "4"}, {"batch", "128"},
                  {"depth", "20"},  {"bits", "8"},         {"threads", "0"},  {"steps", "20"},
                  {"burst", "1"},   {"warmup", "3"},       {"device", "cpu"}};
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::size_t equals = argument.find('=');
    if (!argument.starts_with("--") || equals == std::string::npos || !options.contains(argument.substr(2, equals - 2)))
      fail(ErrorKind::usage, "step_bench: unknown argument {}; see the first lines of bench/step_bench.cpp", argument);
    options[argument.substr(2, equals - 2)] = argument.substr(equals + 1);
  }
  return options;
}

int number(const Options& options, const std::string& key) {
  return std::atoi(options.at(key).c_str());
}

ImageSet random_images(int count) {
  std::mt19937 random(1);
  ImageSet images{32, 32, std::vector<std::string>(10, "class"), {}, {}};
  images.pixels.resize(static_cast<std::size_t>(count) * images.image_bytes());
  for (std::uint8_t& value : images.pixels) value = static_cast<std::uint8_t>(random() & 0xFFU);
  for (int i = 0; i < count; ++i) images.labels.push_back(static_cast<std::int32_t>(random() % 10));
  return images;
}

/// A model, its step, and how long each step took.
class Trainee {
 public:
  Trainee(Backend& backend, const Options& options, bool planes)
      : backend_(backend),
        options_(options),
        memory_(backend),
        batch_(number(options, "batch")),
        source_(memory_, random_images(kBatches * batch_), "training"),
        model_(memory_, make_resnet({.depth = number(options, "depth"), .act_bits = number(options, "act-bits")}),
               options.at("precision") == "bf16" ? DType::bf16 : DType::f32, 1, {.max_bits = 8, .alpha = kAlpha},
               [&](const ArenaLayout& layout) -> HostWeights {
                 const HostWeights start = initial_weights(layout, 1);
                 if (!planes) return start;
                 return to_planes(start, std::vector<int>(layout.slots.size(), number(options, "bits")));
               }),
        step_(memory_, model_, source_,
              {.augment = augmentation(),
               .rule = {},
               .batch_size = batch_,
               .metrics_slots = std::max(1, number(options, "burst"))},
              *alone_) {
    std::vector<std::int32_t> order(static_cast<std::size_t>(source_.size()));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i);
    source_.begin_epoch(order);
  }

  void run_burst(bool counts) {
    const int steps = number(options_, "burst");
    std::vector<PlannedStep> planned;
    for (int i = 0; i < steps; ++i)
      planned.push_back({batch_, {.learning_rate = 0.1F, .first_sample = next_batch_++ % kBatches * batch_}});
    step_.plan(std::move(planned));  // as an epoch does
    backend_.synchronize();
    const std::clock_t cpu_start = std::clock();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < steps; ++i) step_.run();
    const std::chrono::duration<double> enqueued = std::chrono::steady_clock::now() - start;
    backend_.synchronize();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (!counts) return;
    seconds.push_back(elapsed.count() / steps);
    enqueue_seconds.push_back(enqueued.count() / steps);
    cpu_seconds.push_back(static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC / steps);
  }
  double loss() const {
    const StepMetrics metrics = step_.metrics(0, 1).front();
    return metrics.loss_sum / static_cast<double>(metrics.samples) + kAlpha * metrics.penalty;
  }
  double planned_mib() const { return static_cast<double>(memory_.total_bytes()) / (1 << 20); }

  std::vector<double> seconds, enqueue_seconds, cpu_seconds;

 private:
  static AugmentRule augmentation() {
    return {.height = 32,
            .width = 32,
            .crop_padding = 4,
            .random_flip = true,
            .mean = {0.4914F, 0.4822F, 0.4465F},
            .std = {0.2023F, 0.1994F, 0.2010F}};
  }

  Backend& backend_;
  const Options& options_;
  DeviceMemory memory_;
  int batch_;
  ResidentSource source_;
  Model model_;
  std::unique_ptr<Communicator> alone_ = make_single_process();
  TrainingStep step_;
  std::int64_t next_batch_ = 0;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

nlohmann::ordered_json result(const Trainee& trainee, const Options& options, const Backend& backend) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return {{"engine", "bsq"},
          {"depth", number(options, "depth")},
          {"batch", number(options, "batch")},
          {"precision", options.at("precision")},
          {"act_bits", number(options, "act-bits")},
          {"steps", trainee.seconds.size()},
          {"median_s", median(trainee.seconds)},
          {"min_s", std::ranges::min(trainee.seconds)},
          {"max_s", std::ranges::max(trainee.seconds)},
          {"burst", number(options, "burst")},
          {"median_enqueue_s", median(trainee.enqueue_seconds)},
          {"median_cpu_s", median(trainee.cpu_seconds)},
          {"images_per_s", number(options, "batch") / median(trainee.seconds)},
          {"last_loss", trainee.loss()},
          {"planned_mib", trainee.planned_mib()},
          {"peak_resident_mib", static_cast<double>(usage.ru_maxrss) / 1024},
          {"backend", backend.describe()}};
}

void run(const Options& options) {
  const std::string& wanted = options.at("precision");
  const std::unique_ptr<Backend> backend = make_backend(
      options.at("device"), {.threads = number(options, "threads"), .allow_tf32 = wanted == name_of(Precision::tf32)});
  bool is_known = false;
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    std::string why;
    if (wanted != name_of(precision)) continue;
    if (!backend->supports(precision, why)) fail(ErrorKind::device, "step_bench: --precision={}: {}", wanted, why);
    is_known = true;
  }
  if (!is_known) fail(ErrorKind::usage, "step_bench: --precision={}: use fp32, tf32 or bf16", wanted);
  const std::string& mode = options.at("mode");
  std::map<std::string, std::unique_ptr<Trainee>> trainees;
  for (const std::string name : {"float", "bsq"})
    if (mode == name || mode == "both") trainees[name] = std::make_unique<Trainee>(*backend, options, name == "bsq");
  if (trainees.empty() || number(options, "steps") < 1 || number(options, "burst") < 1)
    fail(ErrorKind::usage, "step_bench: nothing to measure");
  const int warmup = number(options, "warmup");
  for (int i = 0; i < warmup + number(options, "steps"); ++i)
    for (auto& [name, trainee] : trainees) trainee->run_burst(i >= warmup);

  for (const auto& [name, trainee] : trainees) {
    nlohmann::ordered_json line = result(*trainee, options, *backend);
    line["mode"] = name;
    if (mode == "both" && name == "bsq") {
      std::vector<double> ratios = trainee->seconds;
      for (std::size_t i = 0; i < ratios.size(); ++i) ratios[i] /= trainees.at("float")->seconds[i];
      line["bsq_over_float"] = median(ratios);
    }
    std::cout << line.dump() << '\n';
  }
}

}  // namespace
}  // namespace bsq::bench

int main(int argc, char** argv) {
  try {
    bsq::bench::run(bsq::bench::parse(argc, argv));
    return 0;
  } catch (const bsq::Error& error) {
    std::cerr << error.what() << '\n';
    return error.exit_code();
  }
}
