// LSQ under a budget as a stage of an experiment: where it ends, what is said, and that a run which was interrupted
// anywhere comes to the same bits.
#include "tests/engine/training/experiment_support.h"

namespace bsq::test {
namespace {

/// 6 epochs of 3 steps, in the first 4 of which bits are taken.
Config widths_config(double bits) {
  Config config = tiny_config();
  config.stages = {"pretrain", "lsq"};
  config.stage("pretrain").epochs = 1;
  config.stage("pretrain").milestones = {};
  config.stage("lsq").epochs = 6;
  config.part<LsqConfig>() = {{{.budget_bits = bits, .budget_count = "published"}, 4}};
  return config;
}

double final_bits(const ExperimentRuns& runs) {
  return events_of(runs, "stage_end").back().at("bits_per_parameter");
}

/// Of 2304 among 4767 weights.
constexpr double kHalfOfLargestBit = 0.25;

}  // namespace

TEST_CASE("LSQ comes to a budget within a layer's last bit, in the epochs that it has for that, and trains on") {
  const double bits = GENERATE(4.0, 3.0);
  INFO("budget of " << bits);
  ExperimentRuns runs(widths_config(bits));
  REQUIRE(runs.run() == StageOutcome::done);
  CHECK(std::abs(final_bits(runs) - bits) < kHalfOfLargestBit);
  const std::vector<nlohmann::json> notes = events_of(runs, "budget");
  REQUIRE(notes.size() >= 3);
  REQUIRE(notes.size() <= 5);
  CHECK(notes.front().at("epoch") == 0);
  CHECK(notes.front().at("bits_now") == 8);
  CHECK(notes.front().at("taken_bits").empty());
  CHECK(notes.front().at("sensitivities").empty());
  for (std::size_t i = 1; i < notes.size(); ++i) {
    CHECK(notes[i].at("epoch") == static_cast<int>(i));
    CHECK(notes[i].at("bits_now") < notes[i - 1].at("bits_now"));
    CHECK(notes[i].at("is_met") == (i + 1 == notes.size()));
    CHECK_FALSE(notes[i].at("taken_bits").empty());
    double sum = 0;
    for (const auto& [tensor, value] : notes[i].at("sensitivities").items()) sum += value.get<double>();
    CHECK(sum > 0);
    const bool is_last_of_window = notes[i].at("epoch") == 4;
    for (const auto& [tensor, taken] : notes[i].at("taken_bits").items()) CHECK((is_last_of_window || taken == 1));
  }
  CHECK(notes.back().at("bits_now") == Approx(final_bits(runs)));
  std::vector<int> adjusted;
  for (const nlohmann::json& event : events_of(runs, "requant")) adjusted.push_back(event.at("epoch"));
  REQUIRE(adjusted.size() == notes.size() - 1);  // nothing changes after that, nor at the end
  CHECK(events_of(runs, "stage_end").back().at("best_epoch") > adjusted.back());
}

TEST_CASE("a window as long as the stage, or one that was too short, ends with the budget met all the same") {
  Config config = widths_config(3);
  config.stage("lsq").epochs = 2;
  config.part<LsqConfig>().budget_epochs = 2;
  ExperimentRuns whole(config);
  REQUIRE(whole.run() == StageOutcome::done);
  CHECK(std::abs(final_bits(whole) - 3) < kHalfOfLargestBit);
  const nlohmann::json end = events_of(whole, "budget").back();
  CHECK(end.at("epoch") == 2);
  CHECK(end.at("bits_trained") > 6.5);  // a bit of each layer is gone
  CHECK_FALSE(end.at("removed_planes").empty());
  config.part<LsqConfig>().budget_epochs = 1;
  ExperimentRuns at_once(config);
  REQUIRE(at_once.run() == StageOutcome::done);
  CHECK(std::abs(final_bits(at_once) - 3) < kHalfOfLargestBit);
  CHECK(events_of(at_once, "budget").size() == 2);
}

TEST_CASE("a budget that the weights begin within takes nothing") {
  ExperimentRuns runs(widths_config(8));
  REQUIRE(runs.run() == StageOutcome::done);
  CHECK(events_of(runs, "budget").size() == 1);
  CHECK(events_of(runs, "budget").front().at("is_met"));
  CHECK(final_bits(runs) == 8);
}

TEST_CASE("weights that begin with fewer bits come to the budget from there") {
  Config config = widths_config(4);
  config.quant.weight_bits = 6;
  ExperimentRuns runs(config);
  REQUIRE(runs.run() == StageOutcome::done);
  CHECK(events_of(runs, "budget").front().at("bits_now") == 6);
  CHECK(std::abs(final_bits(runs) - 4) < kHalfOfLargestBit);
}

TEST_CASE("a run of learned widths that is stopped after any step, or killed, comes to the bits of a straight one") {
  Config config = widths_config(3);
  config.stage("lsq").ema = GENERATE(0.0, 0.5);
  config.part<LsqConfig>().steps = GENERATE("tensor", "channel");
  check_interrupted_runs(config, 3 * (1 + 6), {.first_stop = 4, .first_kill = 4, .kill_every = 5});
}

}  // namespace bsq::test
