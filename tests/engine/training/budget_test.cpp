// BSQ under a budget as a stage of an experiment: where the budget is met, what is kept from then on, and that a run
// which was interrupted anywhere comes to the same bits.
#include "tests/engine/training/experiment_support.h"

namespace bsq::test {
namespace {

/// 8 epochs of 3 steps under a budget, of which 7 have the full rate.
Config budget_config(double bits, double alpha) {
  Config config = tiny_config();
  config.stages = {"pretrain", "bsq"};
  config.stage("pretrain").epochs = 1;
  config.stage("bsq").epochs = 8;
  config.stage("bsq").lr = 0.3;
  config.stage("bsq").milestones = {7};
  BsqConfig& bsq = config.part<BsqConfig>();
  bsq = {};
  bsq.requant_interval = 2;
  bsq.budget_bits = bits;
  bsq.budget_count = "published";
  bsq.budget_alpha = alpha;
  return config;
}

}  // namespace

TEST_CASE("a budget that is met stays met, the widths with it, and nothing of the model from before counts") {
  ExperimentRuns runs(budget_config(6, 0.5));
  REQUIRE(runs.run() == StageOutcome::done);
  const std::vector<nlohmann::json> notes = events_of(runs, "budget");
  REQUIRE(notes.size() >= 3);
  const auto met = std::find_if(notes.begin(), notes.end(), [](const auto& note) { return note.at("is_met"); });
  REQUIRE(met != notes.end());
  REQUIRE(met + 2 == notes.end());  // from then on nothing is said until the end
  const int epoch = met->at("epoch");
  REQUIRE(epoch > 0);
  REQUIRE(epoch < 7);
  CHECK(met->at("alpha") == 0);
  CHECK(met->at("bits_now") <= 6.005);
  CHECK((met - 1)->at("bits_now") > 6.005);
  CHECK((met - 1)->at("alpha") > 0);

  std::vector<int> adjusted;
  for (const auto& event : events_of(runs, "requant")) adjusted.push_back(event.at("epoch"));
  std::vector<int> expected;
  for (auto note = notes.begin(); note != met; ++note) {
    const int of_note = note->at("epoch");
    if (of_note % 2 == 0 || !note->at("removed_planes").empty()) expected.push_back(of_note);
  }
  expected.push_back(epoch);
  expected.push_back(8);
  CHECK(adjusted == expected);
  CHECK(events_of(runs, "requant").back().at("bits_after") == events_of(runs, "requant").end()[-2].at("bits_after"));
  CHECK(notes.back().at("bits_now") == events_of(runs, "requant").back().at("bits_after"));
  CHECK(notes.back().at("removed_planes").empty());
  CHECK(notes.back().at("is_met") == true);
  const nlohmann::json end = events_of(runs, "stage_end").back();
  CHECK(end.at("best_epoch") > epoch);
}

TEST_CASE("planes go where a weak penalty is behind the plan, until the budget is met before the rate falls") {
  const double bits = GENERATE(5.0, 3.0);
  ExperimentRuns runs(budget_config(bits, 1e-6));
  REQUIRE(runs.run() == StageOutcome::done);
  const std::vector<nlohmann::json> notes = events_of(runs, "budget"), requants = events_of(runs, "requant");
  const auto met = std::find_if(notes.begin(), notes.end(), [](const auto& note) { return note.at("is_met"); });
  REQUIRE(met != notes.end());
  CHECK(met->at("epoch") == 5);  // 0.8 of 7 epochs are over when this one is
  double before = 8;
  for (const nlohmann::json& event : requants) {
    CHECK(event.at("bits_after") <= before);
    before = event.at("bits_after");
  }
  int removals = 0;
  for (auto note = notes.begin(); note != met + 1; ++note) {
    if (note->at("removed_planes").empty()) continue;
    ++removals;
    const auto requant = std::find_if(requants.begin(), requants.end(),
                                      [&](const auto& event) { return event.at("epoch") == note->at("epoch"); });
    REQUIRE(requant != requants.end());
    // Half a plane of the largest layer.
    CHECK(std::abs(requant->at("bits_after").template get<double>() - note->at("bits_planned").template get<double>()) <
          0.25);
  }
  CHECK(removals >= 3);
  CHECK(std::abs(notes.back().at("bits_now").get<double>() - bits) < 0.25);
}

TEST_CASE("a stage without an epoch meets its budget at its end, where planes go, and that is said") {
  Config config = budget_config(3, 0.5);
  config.stage("bsq").epochs = 0;
  config.stage("bsq").milestones = {};
  ExperimentRuns runs(config);
  REQUIRE(runs.run() == StageOutcome::done);
  const nlohmann::json end = events_of(runs, "budget").back();
  CHECK(end.at("is_met") == false);
  CHECK(end.at("bits_trained") > 4);
  CHECK(std::abs(end.at("bits_now").get<double>() - 3) < 0.25);
  CHECK_FALSE(end.at("removed_planes").empty());
  CHECK(end.at("bits_now") == events_of(runs, "requant").back().at("bits_after"));
}

TEST_CASE("a run under a budget that is stopped after any step, or killed, comes to the bits of a straight one") {
  const Config config = budget_config(6, GENERATE(0.5, 1e-6));  // met by the penalty, or by planes that go
  check_interrupted_runs(config, 3 * (1 + 8), {.first_stop = 4, .first_kill = 4, .kill_every = 5});
}

TEST_CASE("a state of the controller that is damaged is named") {
  ExperimentRuns runs(budget_config(6, 0.5));
  REQUIRE(runs.run([&](int step) { return step == 8 ? Request::stop : Request::none; }) == StageOutcome::stopped);
  const fs::path folder = fs::canonical(runs.path() / "checkpoints/last");
  nlohmann::json state = nlohmann::json::parse(text_of(folder / "state.json"));
  REQUIRE(state.at("progress").at("method").at("epoch") == 1);
  state["progress"]["method"]["integral"] = "x";
  CheckpointFiles files = runs.checkpoint("last");
  files.state = state;
  fs::remove_all(folder);
  save_checkpoint(folder, files);
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { runs.run(); }),
             Catch::Contains("state.json is damaged (progress.method: ") && Catch::Contains("integral"));
}

}  // namespace bsq::test
