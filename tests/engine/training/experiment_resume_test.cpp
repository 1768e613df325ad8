// The same configuration gives the same bits: run to run, stopped and resumed after any step, killed at any step, and
// with one or two threads each.
#include "tests/engine/training/experiment_support.h"

namespace bsq::test {
namespace {

/// One straight run, for all comparisons of a test.
std::map<std::string, std::string> straight_run(const Config& config = tiny_config(), const std::string& device = "cpu",
                                                int threads = 1) {
  ExperimentRuns runs(config, device, threads);
  int steps = 0;
  REQUIRE(runs.run([&](int step) {
    steps = step;
    return Request::none;
  }) == StageOutcome::done);
  CHECK(steps == kStepsOfTinyRun);
  return traces_of(runs);
}

}  // namespace

TEST_CASE("an experiment stopped after any one step and resumed writes what a straight one writes, bit for bit") {
  const auto expected = straight_run();
  for (int stop = 1; stop <= kStepsOfTinyRun; ++stop) {
    check_stopped_and_resumed(tiny_config(), stop, expected);
  }
}

TEST_CASE("an experiment stopped after every step is the straight one as well") {
  ExperimentRuns runs;
  int starts = 1;
  while (runs.run([](int) { return Request::stop; }) == StageOutcome::stopped) ++starts;
  CHECK(starts == kStepsOfTinyRun + 1);
  CHECK(differences_of(traces_of(runs), straight_run()) == std::vector<std::string>{});
}

TEST_CASE("an experiment killed at any step goes on from its last checkpoint to the same end") {
  Config config = tiny_config();
  config.checkpoint.every_epochs = GENERATE(1, 2);
  config.checkpoint.keep_last = 2;
  INFO("a checkpoint every " << config.checkpoint.every_epochs << " epochs");
  const auto expected = straight_run(config);
  for (int kill = 1; kill <= kStepsOfTinyRun; kill += 2) {
    check_killed_and_resumed(config, kill, expected);
  }
}

TEST_CASE("a checkpoint asked for in the middle of an epoch changes nothing and can be resumed after a kill") {
  ExperimentRuns runs;
  CHECK_THROWS_AS(runs.run([](int step) -> Request {
    if (step == 9) throw Killed{};  // the third epoch begins with step 7
    return step == 8 ? Request::checkpoint : Request::none;
  }),
                  Killed);
  const Progress progress = progress_of(runs.checkpoint("last"), "last");
  CHECK(progress.stage == 2);
  CHECK(progress.epoch == 0);
  CHECK(progress.step == 2);
  CHECK(progress.total_steps == 8);
  CHECK(progress.totals.steps == 2);
  CHECK(progress.totals.samples == 16);
  REQUIRE(runs.run() == StageOutcome::done);
  CHECK(differences_of(traces_of(runs), straight_run()) == std::vector<std::string>{});
}

TEST_CASE("with every option of the optimizer and the loss, a stopped and a killed run go on to the same bits") {
  Config config = tiny_config();
  for (const char* stage : {"pretrain", "bsq", "finetune"}) {
    StageConfig& settings = config.stage(stage);
    settings.nesterov = true;
    settings.no_decay = {"norms", "biases", "pact", "scales"};
    settings.label_smoothing = 0.1;
    settings.clip_norm = 0.5;
  }
  const auto expected = straight_run(config);
  const std::vector<std::string> changed = differences_of(expected, straight_run());
  CHECK(std::count(changed.begin(), changed.end(), "metrics.csv") == 1);
  for (const int stop : {1, 5, 8, 14, 17, 20}) {
    INFO("stopped after step " << stop);
    ExperimentRuns runs(config);
    REQUIRE(runs.run([&](int step) { return step == stop ? Request::stop : Request::none; }) == StageOutcome::stopped);
    REQUIRE(runs.run() == StageOutcome::done);
    CHECK(differences_of(traces_of(runs), expected) == std::vector<std::string>{});
  }
}

TEST_CASE("resuming a run that is over does nothing more") {
  ExperimentRuns runs;
  REQUIRE(runs.run() == StageOutcome::done);
  const auto before = traces_of(runs);
  int steps = 0;
  REQUIRE(runs.run([&](int step) {
    steps = step;
    return Request::none;
  }) == StageOutcome::done);
  CHECK(steps == 0);
  CHECK(differences_of(traces_of(runs), before) == std::vector<std::string>{});
}

TEST_CASE("a run gives the same bits again, with one thread and with two, on every backend") {
  CHECK(differences_of(straight_run(tiny_config(), "cpu", 1), straight_run(tiny_config(), "cpu", 1)).empty());
  CHECK(differences_of(straight_run(tiny_config(), "cpu", 2), straight_run(tiny_config(), "cpu", 2)).empty());
  const auto oracle = straight_run(tiny_config(), "reference");
  CHECK(differences_of(oracle, straight_run(tiny_config(), "reference")).empty());

  Config other_seed = tiny_config();
  other_seed.seed = 2;
  const auto other = differences_of(oracle, straight_run(other_seed, "reference"));
  CHECK(std::count(other.begin(), other.end(), "metrics.csv") == 1);
}

}  // namespace bsq::test
