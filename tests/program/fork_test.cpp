// `bsq train --fork`: a run that takes over the past of another one is the run that would have trained all itself; and
// a sweep trains what its runs have in common once.
#include "tests/support/workspace.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

Words fork(const std::string& from, const std::string& to, const Words& more = {}) {
  Words words = {"train", "--fork", from, "--run-dir", to};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Whether two runs have come to the same model, by the same way.
bool ends_like(const fs::path& expected, const fs::path& found) {
  const std::string model = "checkpoints/finetune/model.safetensors";
  return text_of(expected / model) == text_of(found / model) &&
         lines_of(text_of(expected / "precision.jsonl")) == lines_of(text_of(found / "precision.jsonl"));
}

}  // namespace

TEST_CASE("a run that is forked at the end of a stage is the run that trains all itself", "[slow]") {
  const Workspace here;
  here.train("run");
  for (const auto& [place, setting] : {std::pair("pretrain", "bsq.alpha=6"), std::pair("convert", "bsq.lr=0.1"),
                                       std::pair("bsq", "finetune.lr=0.02")}) {
    INFO(place << " " << setting);
    for (const char* folder : {"whole", "forked", "again"}) fs::remove_all(here / folder);
    here.train("whole", {setting});
    const Outcome outcome = here.must(fork(fmt::format("run@{}", place), "forked", {setting}));
    CHECK_THAT(outcome.err, Catch::Contains(fmt::format("forked: takes over the past of run up to {}\n", place)) &&
                                !Catch::Contains("[T] pretrain"));
    check_same_run(here / "whole", here / "forked");
    CHECK(json_of(here / "forked/env.json").at("fork").at("checkpoint") == place);
    here.must({"verify", "forked", "--epochs", "9"});
    // A fork of a fork, by a configuration of its own.
    here.must({"train", "tiny.yaml", setting, "--fork", "forked@pretrain", "--run-dir", "again"});
    check_same_run(here / "whole", here / "again");
  }
}

TEST_CASE("a run is forked at an epoch within a stage, and the fork is killed and resumed", "[slow]") {
  const Workspace here;
  const std::string keep = "checkpoint.keep_last=100";
  here.train("run", {keep});
  const json last = json_of(here / "run/checkpoints/last/state.json");
  const int epochs = last.at("progress").at("total_epochs");
  int within = 0;
  for (int epoch = 1; epoch < epochs; ++epoch) {
    const json progress = json_of(here / fmt::format("run/checkpoints/epoch_{:04}/state.json", epoch)).at("progress");
    within += progress.at("epoch").get<int>() > 0;
    INFO("epoch " << epoch);
    const std::string to = fmt::format("forked{}", epoch);
    here.must(fork(fmt::format("run@{}", epoch), to, {keep}));
    CHECK(ends_like(here / "run", here / to));
  }
  CHECK(within >= 3);
  Program begun(fork("run@1", "slow", {"bsq.epochs=60", keep}), here.setup());
  begun.wait_for("[T] bsq  3/60");
  begun.send(SIGKILL);
  REQUIRE(begun.finish().signal == SIGKILL);
  here.must({"train", "--resume", "slow"});
  here.train("whole", {"bsq.epochs=60", keep});
  CHECK(ends_like(here / "whole", here / "slow"));
}

TEST_CASE("a fork that would have another past, or none, is refused before anything is written") {
  const Workspace here;
  here.train("run");
  const std::string past = ", and has part in what is trained before pretrain";
  check_errors(here, fork("run@pretrain", "new", {"seed=3", "pretrain.lr=0.2", "bsq.alpha=3"}), 2,
               {"--fork: seed 1 in the run, 3 now" + past, "--fork: pretrain.lr 0.1 in the run, 0.2 now" + past});
  check_errors(here, fork("run@pretrain", "new", {"stages=[convert,bsq]", "model.init=run"}), 2,
               {"--fork: stages [pretrain, convert, bsq, finetune] in the run, [convert, bsq] now" + past,
                "--fork: model.init \"\" in the run, run now" + past});
  check_error(here, fork("run@nowhere", "new"), 4, {"--fork run@nowhere: has no such checkpoint; it has ", "pretrain"});
  here.train("kept", {"checkpoint.keep_last=20"});
  check_error(here, fork("kept@12", "new"), 4,
              {"it has 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, bsq, convert, finetune, pretrain"});
  check_error(here, fork("run@pretrain_best", "new"), 4, {"pretrain_best: does not say how a run goes on from there"});
  check_error(here, fork("gone@pretrain", "new"), 2, {"gone: is not a run directory"});
  check_error(here, fork("run@pretrain", "run"), 2, {"run exists and is not empty"});
  check_error(here, {"train", "--fork", "run@pretrain", "--resume", "run"}, 2,
              {"--fork run@pretrain: begins a new run, --resume goes on with one; give one of them"});
  check_error(here, fork("run@pretrain", "new", {"data.synthetic_train=32"}), 2,
              {"data.synthetic_train 48 in the run"});
  edit_text(here / "run/checkpoints/pretrain/state.json", "\"stage\": 1", "\"stage\": 9");
  check_error(here, fork("run@pretrain", "new"), 4, {"state.json is damaged"});
  CHECK_FALSE(fs::exists(here / "new"));
}

TEST_CASE("a sweep trains what its runs have in common once, with any number of jobs, and goes on", "[slow]") {
  const Workspace here;
  for (const char* jobs : {"1", "3"}) {
    INFO(jobs << " jobs");
    const std::string folder = fmt::format("s{}", jobs);
    const Outcome outcome = here.must({"sweep", "tiny.yaml", "bsq.alpha=1,4", "finetune.lr=0.01,0.02", "seed=1,2",
                                       "--jobs", jobs, "--sweep-dir", folder, "threads=1"});
    const auto count = [&](const std::string& what) {
      const std::vector<std::string> lines = lines_of(outcome.err);
      return std::ranges::count_if(lines, [&](const std::string& line) { return contains(line, what); });
    };
    CHECK(count("stage pretrain done") == 2);  // one for each seed
    CHECK(count("stage bsq done") == 4);       // likewise and for each alpha
    CHECK(count("stage finetune done") == 8);
    CHECK(count("takes over the past of") == 6);
    for (const char* alpha : {"1", "4"}) {
      const std::string name = fmt::format("alpha-{}_lr-0.02_seed-2", alpha), alone = fmt::format("{}-{}", jobs, alpha);
      here.train(alone, {fmt::format("bsq.alpha={}", alpha), "finetune.lr=0.02", "seed=2"});
      check_same_run(here / alone, here / folder / name);
    }
  }
  // A run that was begun and has come to nothing is begun again from what another one has.
  fs::remove_all(here / "s1/alpha-4_lr-0.02_seed-1/checkpoints");
  edit_text(here / "s1/alpha-4_lr-0.02_seed-1/status.json", "\"done\"", "\"running\"");
  const Outcome resumed = here.must({"sweep", "--resume", "s1"});
  CHECK_THAT(resumed.err, Catch::Contains("takes over the past of s1/alpha-4_lr-0.01_seed-1 up to bsq"));
  check_same_run(here / "s3/alpha-4_lr-0.02_seed-1", here / "s1/alpha-4_lr-0.02_seed-1");
}

TEST_CASE("runs of a sweep on other devices or numbers of threads have no common past") {
  const Workspace here;
  const Outcome outcome =
      here.must({"sweep", "tiny.yaml", "threads=1,2", "stages=[pretrain,convert]", "--sweep-dir", "s"});
  CHECK_FALSE(contains(outcome.err, "takes over the past"));
}
