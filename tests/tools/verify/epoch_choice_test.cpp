// Which epochs are repeated, and from where.
#include "tools/verify/epoch_choice.h"

#include "engine/config/config_schema.h"
#include "tests/support/catch.h"
#include "tools/session/config_schema.h"

#include <set>

namespace bsq::test {
namespace {

/// Float 4 epochs, BSQ 6, all with a hash.
struct Run {
  Config config = Config(config_schema());
  RunProofs proofs;
  KeptFiles kept;

  Run() {
    config.stages = {"pretrain", "bsq"};
    config.stage("pretrain").epochs = 4;
    config.stage("bsq").epochs = 6;
    for (const auto& [stage, epochs] : {std::pair("pretrain", 4), std::pair("bsq", 6)})
      for (int epoch = 1; epoch <= epochs; ++epoch) {
        proofs.epochs.push_back({.stage = stage, .epoch = epoch, .steps = 0, .cells = {}});
        proofs.states[{stage, epoch}] = "aa";
      }
    keep("the start of the run", 0, 0, false);
  }

  void keep(const std::string& name, int stage, int epoch, bool is_checkpoint) {
    ReplayStart start;
    start.name = name;
    start.progress.stage = stage;
    start.progress.epoch = epoch;
    start.epochs_done = epoch_of_run(config, stage, epoch);
    start.is_checkpoint = is_checkpoint;
    kept.starts.push_back(start);
  }

  EpochChoice choose(std::optional<int> epochs, int seed = 0, std::optional<int> within = {}) const {
    return choose_epochs(config, proofs, kept,
                         {.run = {}, .overrides = {}, .epochs = epochs, .seed = {}, .within = within}, seed);
  }
};

std::string text_of(const CheckedEpoch& epoch) {
  return epoch.place.text() + " from " + epoch.from + ", " + std::to_string(epoch.repeated);
}

}  // namespace

TEST_CASE("every epoch is repeated from the nearest state before it, and one repetition serves several") {
  Run run;
  run.keep("checkpoints/pretrain", 1, 0, false);
  run.keep("checkpoints/epoch_0008", 1, 3, true);
  const EpochChoice choice = run.choose({});
  REQUIRE(choice.checked.size() == 10);
  CHECK(text_of(choice.checked[3]) == "epoch 4 of pretrain from the start of the run, 4");
  CHECK(text_of(choice.checked[4]) == "epoch 1 of bsq from checkpoints/pretrain, 1");
  CHECK(text_of(choice.checked[6]) == "epoch 3 of bsq from checkpoints/pretrain, 3");
  CHECK(text_of(choice.checked[9]) == "epoch 6 of bsq from checkpoints/epoch_0008, 3");
  REQUIRE(choice.repetitions.size() == 3);
  CHECK(choice.repetitions[0].until == 4);
  CHECK(choice.repetitions[1].until == 7);
  CHECK(choice.repetitions[2].until == 10);
  CHECK(choice.repetitions[1].checked == std::vector<std::size_t>{4, 5, 6});
  CHECK(choice.passed_over.empty());
}

TEST_CASE("a checkpoint is looked at, also where no chosen epoch comes behind it") {
  Run run;
  run.keep("checkpoints/pretrain", 1, 0, false);
  run.keep("checkpoints/epoch_0011", 1, 6, true);
  const EpochChoice choice = run.choose(1);
  REQUIRE(choice.repetitions.size() == 2);
  CHECK(choice.repetitions[1].start->name == "checkpoints/epoch_0011");
  CHECK(choice.repetitions[1].until == choice.repetitions[1].start->epochs_done);
  CHECK(choice.repetitions[1].checked.empty());
}

TEST_CASE("every epoch is chosen by some seed, and a choice is in the order of the run") {
  const Run run;
  std::set<std::string> chosen;
  for (int seed = 0; seed < 60; ++seed) {
    const EpochChoice choice = run.choose(3, seed);
    REQUIRE(choice.checked.size() == 3);
    CHECK(choice.checked[0].repeated < choice.checked[1].repeated);
    CHECK(choice.checked[1].repeated < choice.checked[2].repeated);
    for (const CheckedEpoch& epoch : choice.checked) chosen.insert(epoch.place.text());
  }
  CHECK(chosen.size() == 10);
  CHECK(run.choose(99).checked.size() == 10);
}

TEST_CASE("epochs without a hash, without a state before them and too far from it are passed over") {
  Run run;
  run.proofs.states.erase({"pretrain", 2});
  run.proofs.states.erase({"pretrain", 3});
  const EpochChoice no_hash = run.choose({});
  REQUIRE(no_hash.passed_over.size() == 1);
  CHECK(no_hash.passed_over[0].stage == "pretrain");
  CHECK(no_hash.passed_over[0].first == 2);
  CHECK(no_hash.passed_over[0].last == 3);
  CHECK(no_hash.checked.size() == 8);

  run = Run();
  const EpochChoice too_far = run.choose({}, 0, 3);
  CHECK(too_far.checked.size() == 3);
  REQUIRE(too_far.passed_over.size() == 2);  // one a stage
  CHECK(too_far.passed_over[1].first == 1);
  CHECK(too_far.passed_over[1].last == 6);

  run.kept.starts.clear();
  run.kept.no_start_of_run = "its model is gone";
  run.keep("checkpoints/pretrain", 1, 0, false);
  const EpochChoice no_start = run.choose({});
  CHECK(no_start.checked.size() == 6);
  REQUIRE(no_start.passed_over.size() == 1);
  CHECK_THAT(no_start.passed_over[0].why, Catch::Contains("its model is gone"));
}

}  // namespace bsq::test
