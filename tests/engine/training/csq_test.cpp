// CSQ as a stage of an experiment: masks come to the target where they harden, and a run that was interrupted anywhere
// comes to the same bits.
#include "tests/engine/training/experiment_support.h"

namespace bsq::test {
namespace {

/// 6 epochs of 3 steps; masks are hard in the last ones.
Config csq_config(const CsqConfig& options) {
  Config config = tiny_config();
  config.stages = {"pretrain", "csq"};
  config.stage("pretrain").epochs = 1;
  config.stage("pretrain").milestones = {};
  config.stage("csq").epochs = 6;
  config.stage("csq").warmup_epochs = 0;
  config.part<CsqConfig>() = options;
  return config;
}

/// Of 2304 among 4767 weights.
constexpr double kHalfOfLargestPlane = 0.25;

}  // namespace

TEST_CASE("masks of CSQ come to the target where they harden, within half of a layer's plane") {
  const int hard_epochs = GENERATE(2, 0);
  const double target = GENERATE(3.0, 5.0);
  ExperimentRuns runs(csq_config({.target_bits = target, .hard_mask_epochs = hard_epochs}));
  REQUIRE(runs.run() == StageOutcome::done);
  const std::vector<nlohmann::json> notes = events_of(runs, "masks");
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].at("epoch") == 6 - hard_epochs);
  CHECK(notes[0].at("count") == "weights");
  INFO(notes[0].dump());
  CHECK(std::abs(notes[0].at("bits_now").get<double>() - target) < kHalfOfLargestPlane);
  CHECK(std::abs(notes[0].at("bits_before").get<double>() - target) > kHalfOfLargestPlane);
  CHECK(notes[0].at("switched_off").get<int>() + notes[0].at("switched_on").get<int>() > 0);
  // Planes that no weight uses go at the end.
  CHECK(events_of(runs, "stage_end").back().at("bits_per_parameter").get<double>() <=
        notes[0].at("bits_now").get<double>() + 1e-9);
}

TEST_CASE("as published the masks of CSQ are left as they are") {
  ExperimentRuns runs(csq_config({.target_bits = 3, .hard_mask_epochs = 2, .meet_target = false}));
  REQUIRE(runs.run() == StageOutcome::done);
  CHECK(events_of(runs, "masks").empty());
}

TEST_CASE("CSQ interrupted after any step and resumed comes to the same bits") {
  check_interrupted_runs(csq_config({.target_bits = 3, .hard_mask_epochs = 2}), 21, {12, 11, 3});
}

TEST_CASE(
    "an average of CSQ is that of planes, masks and scales, evaluated behind the gates of the epoch, and hardened") {
  Config config = csq_config({.target_bits = 3, .hard_mask_epochs = 2});
  config.checkpoint.keep_last = 9;
  config.checkpoint.every_epochs = 1;
  ExperimentRuns plain(config);
  config.stage("csq").ema = 0.75;
  ExperimentRuns averaged(config);
  for (ExperimentRuns* runs : {&plain, &averaged}) REQUIRE(runs->run() == StageOutcome::done);
  const auto csq_of = [](const TensorFile& file) {
    return [&file](const std::string& name) { return values_of(file, "layer3.0.conv1." + name); };
  };
  for (const int epoch : {1, 4, 5}) {  // the first, the last with soft masks, the first with hard ones
    INFO("epoch " << epoch);
    const std::string name = fmt::format("epoch_{:04}", epoch + 2);  // behind one of pretrain and its end
    const CheckpointFiles without = plain.checkpoint(name), with = averaged.checkpoint(name);
    const TensorFile &model = with.tensors.at("model.safetensors"), &average = with.tensors.at("ema.safetensors");
    CHECK(different_tensors(model.tensors, without.tensors.at("model.safetensors").tensors).empty());
    CHECK(csq_of(average)("gates_weight") == csq_of(model)("gates_weight"));
    CHECK(csq_of(average)("pweight") != csq_of(model)("pweight"));
    const bool is_hard = epoch > 4;
    CHECK((csq_of(average)("mask_weight") == csq_of(model)("mask_weight")) == is_hard);
  }
  // Hard masks are those of the run without an average, and what is handed on is the average, on a grid.
  for (const char* key : {"bits_now", "switched_off", "switched_on"})
    CHECK(events_of(averaged, "masks").front().at(key) == events_of(plain, "masks").front().at(key));
  CHECK(events_of(averaged, "weights").size() == 6);
  CHECK(averaged.checkpoint("csq").tensors.at("model.safetensors").metadata.at("scheme").size() > 0);
  CHECK_FALSE(different_tensors(averaged.checkpoint("csq").tensors.at("model.safetensors").tensors,
                                plain.checkpoint("csq").tensors.at("model.safetensors").tensors)
                  .empty());
}

TEST_CASE("CSQ with an average interrupted after any step and resumed comes to the same bits") {
  Config config = csq_config({.target_bits = 3, .hard_mask_epochs = 2});
  config.stage("csq").ema = 0.9;
  check_interrupted_runs(config, 21, {12, 11, 3});
}

}  // namespace bsq::test
