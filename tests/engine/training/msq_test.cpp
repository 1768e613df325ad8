// MSQ as a stage of an experiment: layers lose last bits at intervals or under a budget, and a run that was interrupted
// anywhere comes to the same bits.
#include "tests/engine/training/experiment_support.h"

namespace bsq::test {
namespace {

/// Options: the budget, strength, interval and threshold.
Config msq_config(const MsqConfig& options) {
  Config config = tiny_config();
  config.stages = {"pretrain", "msq"};
  config.stage("pretrain").epochs = 1;
  config.stage("pretrain").milestones = {};
  config.stage("msq").epochs = 6;
  config.part<MsqConfig>() = options;
  return config;
}

}  // namespace

TEST_CASE("MSQ takes last bits at intervals, of the layers in which few are set") {
  ExperimentRuns all(msq_config({{}, 0.1, 2, 100}));
  REQUIRE(all.run() == StageOutcome::done);
  const std::vector<nlohmann::json> notes = events_of(all, "last_bits");
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].at("epoch") == 2);
  CHECK(notes[1].at("epoch") == 4);
  CHECK(notes[1].at("bits_now") == 6);
  CHECK(notes[0].at("taken_bits").size() == notes[0].at("last_bits").size());
  CHECK(events_of(all, "stage_end").back().at("bits_per_parameter") == Approx(6));

  ExperimentRuns none(msq_config({{}, 0, 1, 0}));
  REQUIRE(none.run() == StageOutcome::done);
  CHECK(events_of(none, "requant").empty());
  CHECK(events_of(none, "stage_end").back().at("bits_per_parameter") == Approx(8));
}

TEST_CASE("the stronger the penalty of MSQ, the fewer last bits are set") {
  const auto share_with = [](double strength) {
    Config config = msq_config({{}, strength, 5, 0});
    config.quant.weight_bits = 4;
    ExperimentRuns runs(config);
    REQUIRE(runs.run() == StageOutcome::done);
    double sum = 0;
    const nlohmann::json note = events_of(runs, "last_bits").back();
    for (const auto& [tensor, share] : note.at("last_bits").items()) sum += share.get<double>();
    return sum / static_cast<double>(note.at("last_bits").size());
  };
  const double without = share_with(0), weak = share_with(0.25), strong = share_with(1);
  INFO(without << ", " << weak << ", " << strong);
  CHECK(weak < without - 0.03);
  CHECK(strong < weak - 0.03);
}

TEST_CASE("MSQ comes to a budget of stored bits, and stays there") {
  const double bits = GENERATE(5.0, 3.5);
  ExperimentRuns runs(msq_config({{{.budget_bits = bits}, 4}, 1}));
  REQUIRE(runs.run() == StageOutcome::done);
  const std::vector<nlohmann::json> notes = events_of(runs, "budget");
  REQUIRE(notes.size() >= 3);
  CHECK(notes.front().at("budget_count") == "stored");
  CHECK(notes.back().at("is_met") == true);
  CHECK(std::abs(notes.back().at("bits_now").get<double>() - bits) < 0.25);
  CHECK(events_of(runs, "stage_end").back().at("stored_bits_per_parameter").get<double>() ==
        Approx(notes.back().at("bits_now").get<double>()));
}

TEST_CASE("MSQ interrupted after any step and resumed comes to the same bits") {
  check_interrupted_runs(msq_config({{}, 1, 2, 100}), 21, {9, 8, 4});
  check_interrupted_runs(msq_config({{{.budget_bits = 4}, 3}, 1}), 21, {9, 8, 4});
}

}  // namespace bsq::test
