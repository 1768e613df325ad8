// Seconds of a whole training step of a CIFAR ResNet, float and BSQ, in the keys of pytorch_bsq.py: one line of JSON
// per mode.
//
//   step_bench [--mode=float|bsq|finetune|both] [--precision=fp32|tf32|bf16] [--act-bits=4] [--batch=128] [--depth=20]
//              [--bits=8] [--threads=N] [--steps=20] [--burst=1] [--warmup=3] [--device=cpu]
//
// A step is what `bsq train` does: augmentation (crop, flip, normalise: more than the step of the script does),
// forward, loss, backward, update with clamp. With `both` the two kinds of steps alternate, so that a machine that
// slows down slows both, and the BSQ line says bsq_over_float, the median of the ratios of neighbours.
//
// For profilers and for tables beside pytorch_bsq.py: it runs what is asked for and nothing else. `bsq bench step` is
// for people, and measures more.
//
// --burst: steps that are enqueued one behind the other, with one wait at their end, as training does; 1 waits for
// each. Seconds are those of a burst over its steps, and so are the seconds in which the host enqueued it
// (median_enqueue_s); a device that is fed well takes longer than the host. `steps` and `warmup` count bursts.
#include "bench/statistics.h"
#include "bench/trainee.h"
#include "kernels/base/error.h"
#include "kernels/devices.h"

#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

namespace bsq::bench {
namespace {

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

/// A trainee and how long each of its bursts took.
struct Measured {
  std::unique_ptr<Trainee> trainee;
  std::vector<double> seconds = {}, enqueue_seconds = {}, cpu_seconds = {};

  void run(bool counts) {
    const BurstTimes times = trainee->run_burst();
    if (!counts) return;
    seconds.push_back(times.seconds);
    enqueue_seconds.push_back(times.enqueue_seconds);
    cpu_seconds.push_back(times.cpu_seconds);
  }
};

double median(const std::vector<double>& values) {
  return timing_of(values).median_s;
}

constexpr Precision kPrecisions[] = {Precision::fp32, Precision::tf32, Precision::bf16};

nlohmann::ordered_json result(const Measured& measured, const Options& options, const Backend& backend) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return {{"engine", "bsq"},
          {"depth", number(options, "depth")},
          {"batch", number(options, "batch")},
          {"precision", options.at("precision")},
          {"act_bits", number(options, "act-bits")},
          {"steps", measured.seconds.size()},
          {"median_s", median(measured.seconds)},
          {"min_s", std::ranges::min(measured.seconds)},
          {"max_s", std::ranges::max(measured.seconds)},
          {"burst", number(options, "burst")},
          {"median_enqueue_s", median(measured.enqueue_seconds)},
          {"median_cpu_s", median(measured.cpu_seconds)},
          {"images_per_s", number(options, "batch") / median(measured.seconds)},
          {"last_loss", measured.trainee->loss()},
          {"planned_mib", measured.trainee->planned_mib()},
          {"peak_resident_mib", static_cast<double>(usage.ru_maxrss) / 1024},
          {"backend", backend.describe()}};
}

void run(const Options& options) {
  const std::string& wanted = options.at("precision");
  const std::unique_ptr<Backend> backend = make_backend(
      options.at("device"), {.threads = number(options, "threads"), .allow_tf32 = wanted == name_of(Precision::tf32)});
  const auto precision = std::ranges::find(kPrecisions, wanted, [](Precision p) { return std::string(name_of(p)); });
  if (precision == std::end(kPrecisions))
    fail(ErrorKind::usage, "step_bench: --precision={}: use fp32, tf32 or bf16", wanted);
  std::string why;
  if (!backend->supports(*precision, why)) fail(ErrorKind::device, "step_bench: --precision={}: {}", wanted, why);
  const std::string& mode = options.at("mode");
  std::map<std::string, Measured> trainees;
  for (const std::string& name : step_modes()) {
    if (mode != name && (mode != "both" || (name != "float" && name != "bsq"))) continue;
    const TraineeOptions trainee{name,
                                 *precision,
                                 number(options, "batch"),
                                 number(options, "depth"),
                                 number(options, "bits"),
                                 number(options, "act-bits"),
                                 number(options, "burst")};
    trainees.emplace(name, Measured{std::make_unique<Trainee>(*backend, trainee)});
  }
  if (trainees.empty())
    fail(ErrorKind::usage, "step_bench: --mode={}: use both, {}", mode, fmt::join(step_modes(), ", "));
  if (number(options, "steps") < 1 || number(options, "burst") < 1)
    fail(ErrorKind::usage, "step_bench: nothing to measure; give --steps and --burst of 1 or more");
  const int warmup = number(options, "warmup");
  for (int i = 0; i < warmup + number(options, "steps"); ++i)
    for (auto& [name, trainee] : trainees) trainee.run(i >= warmup);

  for (const auto& [name, trainee] : trainees) {
    nlohmann::ordered_json line = result(trainee, options, *backend);
    line["mode"] = name;
    if (mode == "both" && name == "bsq") {
      std::vector<double> ratios = trainee.seconds;
      for (std::size_t i = 0; i < ratios.size(); ++i) ratios[i] /= trainees.at("float").seconds[i];
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
