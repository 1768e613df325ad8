// A whole experiment in a second: a tiny network, 20 pictures, all four stages; run straight, stopped anywhere, killed
// anywhere and resumed, and everything it wrote for comparison.
#pragma once

#include "engine/training/experiment.h"
#include "tests/support/config.h"
#include "tests/support/engine.h"
#include "tests/support/files.h"

#include <nlohmann/json.hpp>

#include <sstream>

namespace bsq::test {

/// 2 epochs in float, 3 in bit planes (re-quantized at 0, at 2 and at the end), 2 of finetuning; 3 steps each, the last
/// one smaller.
inline Config tiny_config() {
  Config config = default_config();
  config.data.batch_size = 8;
  config.data.eval_batch_size = 5;
  config.data.crop_padding = 1;
  config.quant.act_bits = 3;
  config.stage("pretrain").epochs = 2;
  config.stage("pretrain").milestones = {1};
  config.stage("bsq").epochs = 3;
  config.stage("bsq").milestones = {2};
  config.part<BsqConfig>().requant_interval = 2;
  config.part<BsqConfig>().alpha = 0.05;
  config.part<BsqConfig>().prune_threshold = 20;
  config.stage("finetune").epochs = 2;
  config.stage("finetune").milestones = {1};
  return config;
}

inline constexpr int kStepsOfTinyRun = 3 * (2 + 3 + 2);

inline DataSplits tiny_data() {
  return {std::make_unique<ImageSet>(tiny_pictures("train", 20)),
          std::make_unique<ImageSet>(tiny_pictures("test", 12))};
}

/// Thrown by a poll: the process dies here, as far as the files are concerned.
struct Killed {};

/// A run directory that experiments are run in, again and again.
class ExperimentRuns {
 public:
  explicit ExperimentRuns(Config config = tiny_config(), std::string device = "cpu", int threads = 1)
      : config_(std::move(config)), device_(std::move(device)), threads_(threads) {}

  fs::path path() const { return folder_ / "run"; }
  const Config& config() const { return config_; }

  /// Starts the run, or goes on from its last checkpoint. `poll` is given the number of steps done by this process.
  StageOutcome run(
      const std::function<Request(int)>& poll = [](int) { return Request::none; },
      std::optional<TensorFile> init = {}) {
    const bool tf32 = config_.precision == name_of(Precision::tf32);
    const auto backend = make_backend(device_, {.threads = threads_, .allow_tf32 = tf32});
    const DataSplits data = tiny_data();
    Experiment experiment(config_, {.backend = *backend,
                                    .data = data,
                                    .make_network = [](Activation activation,
                                                       int bits) { return make_resnet(tiny_resnet(activation, bits)); },
                                    .card = {},
                                    .init = std::move(init),
                                    .teacher = teacher_of(*backend),
                                    .communicator = alone()});
    std::ostringstream nowhere;
    Console console(nowhere, {});
    int steps = 0;
    const RequestPoll counted = [&] { return poll(++steps); };
    if (!fs::exists(path())) {
      RunDirectoryOptions options;
      options.explicit_path = path();
      options.config_yaml = to_yaml(config_);
      RunDirectory directory = RunDirectory::create(options);
      RunLog log = RunLog::create(path());
      return experiment.run(directory, log, console, counted, nullptr);
    }
    RunDirectory directory = RunDirectory::resume(path(), "resume");
    std::optional<CheckpointFiles> last;
    if (fs::is_symlink(directory.checkpoints() / "last")) last = load_checkpoint(directory.checkpoints() / "last");
    RunLog log = RunLog::resume(path(), last ? progress_of(*last, "last").logs : LogPosition{});
    return experiment.run(directory, log, console, counted, last ? &*last : nullptr);
  }

  CheckpointFiles checkpoint(const std::string& name) const { return load_checkpoint(path() / "checkpoints" / name); }
  std::vector<std::string> checkpoints() const { return names_in(path() / "checkpoints"); }

 private:
  /// One for the network of these runs, if the configuration names any.
  std::optional<TeacherModel> teacher_of(Backend& backend) const {
    if (!config_.distill.has_teacher()) return std::nullopt;
    return TeacherModel{"teacher", make_resnet(tiny_teacher()), teacher_file(backend), "0123"};
  }

  // A hundred checkpoints are written to be read again at once; in memory that takes no time.
  TemporaryFolder folder_{fs::exists("/dev/shm") && ::access("/dev/shm", W_OK) == 0 ? fs::path("/dev/shm")
                                                                                    : fs::temp_directory_path()};
  Config config_;
  std::string device_;
  int threads_;
};

/// Without what clocks and memory have written.
inline nlohmann::json without_clocks(nlohmann::json json) {
  if (json.is_object()) {
    for (const char* key : {"t", "seconds", "stage_seconds", "images_per_second", "peak_resident_mib", "logs"})
      json.erase(key);
  }
  if (json.is_structured())
    for (auto& child : json) child = without_clocks(child);
  return json;
}

/// Everything of a run that must not depend on how often it was interrupted: by file, as text.
inline std::map<std::string, std::string> traces_of(const ExperimentRuns& runs) {
  std::map<std::string, std::string> traces;
  for (const char* log : {"metrics.jsonl", "precision.jsonl"}) {
    for (const std::string& line : lines_of(runs.path() / log))
      traces[log] += without_clocks(nlohmann::json::parse(line)).dump() + "\n";
  }
  for (const std::string& line : lines_of(runs.path() / "metrics.csv")) {
    const std::size_t last = line.rfind(',');
    traces["metrics.csv"] += line.substr(0, line.rfind(',', last - 1)) + "\n";  // ends in img/s and seconds
  }
  for (const std::string& name : runs.checkpoints()) {
    const fs::path folder = runs.path() / "checkpoints" / name;
    if (fs::is_symlink(folder)) {
      traces[name] = fs::read_symlink(folder).string();
      continue;
    }
    for (const std::string& file : names_in(folder)) {
      std::string text = text_of(folder / file);
      if (file == "state.json") text = without_clocks(nlohmann::json::parse(text)).dump();
      if (file != "DONE") traces[name + "/" + file] = text;
    }
  }
  return traces;
}

/// The names of the files in which two runs differ.
inline std::vector<std::string> differences_of(const std::map<std::string, std::string>& a,
                                               const std::map<std::string, std::string>& b) {
  std::vector<std::string> names;
  for (const auto& [name, text] : a)
    if (b.count(name) == 0 || b.at(name) != text) names.push_back(name);
  for (const auto& [name, text] : b)
    if (a.count(name) == 0) names.push_back(name);
  return names;
}

/// The lines of metrics.jsonl that tell of this event.
inline std::vector<nlohmann::json> events_of(const ExperimentRuns& runs, const std::string& name) {
  std::vector<nlohmann::json> found;
  for (const std::string& line : lines_of(runs.path() / "metrics.jsonl")) {
    nlohmann::json json = nlohmann::json::parse(line);
    if (json.at("event") == name) found.push_back(std::move(json));
  }
  return found;
}

/// A run that is stopped after this step and resumed leaves what is expected, bit for bit.
inline void check_stopped_and_resumed(const Config& config, int stop,
                                      const std::map<std::string, std::string>& expected) {
  INFO("stopped after step " << stop);
  ExperimentRuns runs(config);
  REQUIRE(runs.run([&](int step) { return step == stop ? Request::stop : Request::none; }) == StageOutcome::stopped);
  REQUIRE(runs.run() == StageOutcome::done);
  CHECK(differences_of(traces_of(runs), expected) == std::vector<std::string>{});
}

/// The same of a run that is killed after this step, and goes on from its last checkpoint.
inline void check_killed_and_resumed(const Config& config, int kill,
                                     const std::map<std::string, std::string>& expected) {
  INFO("killed after step " << kill);
  ExperimentRuns runs(config);
  CHECK_THROWS_AS(runs.run([&](int step) -> Request {
    if (step == kill) throw Killed{};
    return Request::none;
  }),
                  Killed);
  REQUIRE(runs.run() == StageOutcome::done);
  CHECK(differences_of(traces_of(runs), expected) == std::vector<std::string>{});
}

/// After which steps runs are stopped, each from `first_stop` on, and killed: every so many from `first_kill` on.
struct Interruptions {
  int first_stop = 1;
  int first_kill = 1;
  int kill_every = 1;
};

/// Runs of so many steps that are interrupted leave what a straight one leaves.
inline void check_interrupted_runs(const Config& config, int steps, const Interruptions& interruptions) {
  ExperimentRuns straight(config);
  int counted = 0;
  REQUIRE(straight.run([&](int step) {
    counted = step;
    return Request::none;
  }) == StageOutcome::done);
  REQUIRE(counted == steps);
  const auto expected = traces_of(straight);
  for (int stop = interruptions.first_stop; stop <= steps; ++stop) check_stopped_and_resumed(config, stop, expected);
  for (int kill = interruptions.first_kill; kill <= steps; kill += interruptions.kill_every)
    check_killed_and_resumed(config, kill, expected);
}

}  // namespace bsq::test
