// The chain of stages: what each one makes and hands on, when precision is adjusted, which model is the best, and the
// errors of a run that cannot go on.
#include "tests/engine/training/experiment_support.h"

namespace bsq::test {
namespace {

/// A column of metrics.csv, in the rows of one stage.
std::vector<double> column_of(const ExperimentRuns& runs, const std::string& stage, const std::string& column) {
  const auto cells_of = [](const std::string& line) {
    std::vector<std::string> cells;
    std::istringstream stream(line);
    for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell);
    return cells;
  };
  const std::vector<std::string> lines = lines_of(runs.path() / "metrics.csv");
  const std::vector<std::string> names = cells_of(lines.at(0));
  const auto place = static_cast<std::size_t>(std::find(names.begin(), names.end(), column) - names.begin());
  std::vector<double> values;
  for (std::size_t row = 1; row < lines.size(); ++row) {
    const std::vector<std::string> cells = cells_of(lines[row]);
    if (cells.at(0) == stage) values.push_back(std::stod(cells.at(place)));
  }
  return values;
}

std::string form_in(const ExperimentRuns& runs, const std::string& checkpoint) {
  return runs.checkpoint(checkpoint).tensors.at("model.safetensors").metadata.at("form");
}

Weights weights_in(const ExperimentRuns& runs, const std::string& checkpoint,
                   const std::string& file = "model.safetensors") {
  const ArenaLayout layout = lay_out(make_resnet(tiny_resnet()).parameters(), ParameterGroup::quantized);
  return read_weights(runs.checkpoint(checkpoint).tensors.at(file), layout, 8);
}

std::vector<int> bits_of(const Weights& weights) {
  std::vector<int> bits;
  for (std::size_t slot = 0; slot < weights->size(); ++slot) bits.push_back(weights->bits(slot));
  return bits;
}

}  // namespace

TEST_CASE("an experiment runs through its four stages, each from what the one before handed on") {
  ExperimentRuns runs;
  REQUIRE(runs.run() == StageOutcome::done);
  CHECK(runs.checkpoints() == std::vector<std::string>{"best", "bsq", "bsq_best", "convert", "epoch_0011", "finetune",
                                                       "finetune_best", "last", "pretrain", "pretrain_best"});
  CHECK(form_in(runs, "pretrain") == "float");
  CHECK(form_in(runs, "convert") == "planes");
  CHECK(form_in(runs, "bsq") == "planes");
  CHECK(form_in(runs, "finetune") == "planes");  // what is handed on

  // Conversion: the planes of the float weights.
  const auto converted = planes_of(weights_in(runs, "convert"));
  const Weights trained = weights_in(runs, "pretrain");
  const std::vector<BitPlanes> expected = to_planes(trained, std::vector<int>(converted.size(), 8));
  for (std::size_t i = 0; i < converted.size(); ++i) {
    CHECK(converted[i].bits == expected[i].bits);
    CHECK(converted[i].scale == expected[i].scale);
    CHECK(converted[i].p == expected[i].p);
  }
  // Finetuning keeps the scheme and moves the weights.
  CHECK(bits_of(weights_in(runs, "finetune")) == bits_of(weights_in(runs, "bsq")));
  CHECK(to_dense(weights_in(runs, "finetune")) != to_dense(weights_in(runs, "bsq")));
  CHECK(to_dense(weights_in(runs, "finetune_best")) ==
        to_dense(weights_in(runs, "finetune_best", "model_float.safetensors")));

  std::vector<std::string> stages;
  for (const auto& event : events_of(runs, "stage_end")) stages.push_back(event.at("stage"));
  CHECK(stages == std::vector<std::string>{"pretrain", "convert", "bsq", "finetune"});
  CHECK(column_of(runs, "bsq", "epoch") == std::vector<double>{1, 2, 3});
  CHECK(column_of(runs, "finetune", "epoch") == std::vector<double>{1, 2});
  CHECK(lines_of(runs.path() / "metrics.csv").size() == 1 + 7);
}

TEST_CASE("precision is adjusted at epoch 0, at every interval and after the last epoch, and is binary afterwards") {
  ExperimentRuns runs;
  REQUIRE(runs.run() == StageOutcome::done);
  std::vector<int> epochs;
  for (const auto& event : events_of(runs, "requant")) epochs.push_back(event.at("epoch"));
  CHECK(epochs == std::vector<int>{0, 2, 3});
  const auto planes = planes_of(weights_in(runs, "bsq"));
  CHECK(lines_of(runs.path() / "precision.jsonl").size() == 3 * planes.size());
  std::int64_t bits = 0;
  std::int64_t parameters = 0;
  for (const BitPlanes& tensor : planes) {
    bits += tensor.numel * tensor.bits;
    parameters += tensor.numel;
    for (const std::vector<float>* side : {&tensor.p, &tensor.n})
      CHECK(std::all_of(side->begin(), side->end(), [](float x) { return x == 0 || x == 1 || x == 2; }));
  }
  CHECK(events_of(runs, "requant").back().at("bits_after").get<double>() ==
        Approx(static_cast<double>(bits) / static_cast<double>(parameters)));
  CHECK(bits < 8 * parameters);
}

TEST_CASE("the best model is the best under its scheme: more accuracy under more bits does not count") {
  // After the re-quantization at epoch 2 the learning rate explodes: what follows is worse than what came before.
  Config config = tiny_config();
  config.stages = {"pretrain", "convert", "bsq"};
  config.quant.act_bits = 0;
  config.stage("pretrain").epochs = 12;
  config.stage("bsq").epochs = 5;
  config.part<BsqConfig>().prune_threshold = 0;
  config.part<BsqConfig>().alpha = 0.001;
  config.stage("bsq").lr = 0.001;
  config.stage("bsq").gamma = 3000;
  config.stage("bsq").milestones = {2};
  config.part<BsqConfig>().requant_interval = 2;
  ExperimentRuns runs(config, "reference");
  const int last_epoch = 3 * (12 + 4) + 1;  // its first step
  REQUIRE(runs.run([&](int step) { return step == last_epoch ? Request::stop : Request::none; }) ==
          StageOutcome::stopped);
  const std::vector<double> top1 = column_of(runs, "bsq", "test_top1");
  REQUIRE(top1.size() == 4);
  REQUIRE(std::max(top1[2], top1[3]) < std::max(top1[0], top1[1]));  // else this test would show nothing
  // The stop came in epoch 5, right after a re-quantization: the best one so far is of epochs 3 and 4.
  const nlohmann::json best = runs.checkpoint("bsq_best").state;
  CHECK(best.at("test_top1").get<double>() == Approx(std::max(top1[2], top1[3])));
  CHECK(best.at("epoch").get<int>() == (top1[3] > top1[2] ? 4 : 3));

  REQUIRE(runs.run() == StageOutcome::done);  // after the last epoch there is one more re-quantization
  const nlohmann::json end = runs.checkpoint("bsq").state;
  CHECK(runs.checkpoint("bsq_best").state.at("test_top1") == end.at("test_top1"));
  CHECK(end.at("best_top1") == end.at("test_top1"));
  CHECK(bits_of(weights_in(runs, "bsq_best")) == bits_of(weights_in(runs, "bsq")));
  CHECK(to_dense(weights_in(runs, "bsq_best")) == to_dense(weights_in(runs, "bsq")));
}

TEST_CASE("without re-quantizations the best epoch of a stage is the first of the highest accuracy") {
  Config config = tiny_config();
  config.stages = {"pretrain"};
  config.stage("pretrain").epochs = 6;
  ExperimentRuns runs(config);
  REQUIRE(runs.run() == StageOutcome::done);
  const std::vector<double> top1 = column_of(runs, "pretrain", "test_top1");
  REQUIRE(top1.size() == 6);
  const auto best = std::max_element(top1.begin(), top1.end());
  const nlohmann::json state = runs.checkpoint("pretrain_best").state;
  CHECK(state.at("epoch").get<int>() == best - top1.begin() + 1);
  CHECK(state.at("test_top1").get<double>() == Approx(*best));
  CHECK(fs::read_symlink(runs.path() / "checkpoints" / "best") == "pretrain_best");
}

TEST_CASE("a stage may start from a file, and finetuning needs one with bit widths") {
  ExperimentRuns whole;
  REQUIRE(whole.run() == StageOutcome::done);
  const TensorFile planes = whole.checkpoint("bsq").tensors.at("model.safetensors");
  Config config = tiny_config();
  config.stages = {"finetune"};
  ExperimentRuns finetuned(config);
  REQUIRE(finetuned.run([](int) { return Request::none; }, planes) == StageOutcome::done);
  CHECK(bits_of(weights_in(finetuned, "finetune")) == bits_of(weights_in(whole, "bsq")));

  ExperimentRuns refused(config);
  const TensorFile floats = whole.checkpoint("pretrain").tensors.at("model.safetensors");
  const std::string message =
      error_of(ErrorKind::usage, [&] { refused.run([](int) { return Request::none; }, floats); });
  CHECK_THAT(message, Catch::Matchers::StartsWith(
                          "stage finetune: the model to start from is a float model and has no bit widths"));
}

TEST_CASE("a loss that is no number stops the run with the place and the last good checkpoint") {
  Config config = tiny_config();
  config.stages = {"pretrain"};
  config.stage("pretrain").lr = 1e30;
  const std::string at_once = error_of(ErrorKind::diverged, [&] { ExperimentRuns(config).run(); });
  CHECK_THAT(at_once, Catch::Matchers::Contains("in stage pretrain at epoch 1 step "));
  CHECK_THAT(at_once, Catch::Matchers::Contains("lower pretrain.lr"));
  CHECK_THAT(at_once, Catch::Matchers::Contains("There is no checkpoint before it"));

  config = tiny_config();
  config.stage("finetune").lr = 1e30;
  ExperimentRuns runs(config);
  const std::string later = error_of(ErrorKind::diverged, [&] { runs.run(); });
  CHECK_THAT(later, Catch::Matchers::Contains("in stage finetune at epoch 1 step "));
  CHECK_THAT(later, Catch::Matchers::Contains("checkpoints/last"));
}

TEST_CASE("a network pruned to nothing stops the run and says what to lower") {
  Config config = tiny_config();
  config.part<BsqConfig>().alpha = 1e6;
  config.stage("bsq").lr = 0.01;
  ExperimentRuns runs(config);
  CHECK_THAT(error_of(ErrorKind::diverged, [&] { runs.run(); }), Catch::Matchers::Contains("lower bsq.alpha (1e+06)"));
}

TEST_CASE("a batch larger than the training set is refused before anything runs") {
  Config config = tiny_config();
  config.data.batch_size = 21;
  ExperimentRuns runs(config);
  CHECK_THAT(error_of(ErrorKind::usage, [&] { runs.run(); }), Catch::Matchers::StartsWith("data.batch_size = 21"));
  CHECK_FALSE(fs::exists(runs.path()));
}

TEST_CASE("a dry run plans every stage, takes one step and writes nothing") {
  const auto backend = make_backend("cpu", {.threads = 1});
  const DataSplits data = tiny_data();
  const Config config = tiny_config();
  Experiment experiment(config, {.backend = *backend,
                                 .data = data,
                                 .make_network = [](Activation activation,
                                                    int bits) { return make_resnet(tiny_resnet(activation, bits)); },
                                 .card = {},
                                 .init = {},
                                 .communicator = alone()});
  std::string text;
  experiment.dry_run([&](const std::string& line) { text += line + "\n"; });
  for (const char* stage : {"stage pretrain", "stage convert", "stage bsq", "stage finetune"})
    CHECK_THAT(text, Catch::Matchers::Contains(stage));
  CHECK_THAT(text, Catch::Matchers::Contains("one step: loss"));
  CHECK_THAT(text, Catch::Matchers::Contains("on 8 images"));
}

}  // namespace bsq::test
