// A moving average of a model, in every form of the weights that has one: what it is after some steps, that it changes
// places without a trace, and its way to a file and back.
#include "engine/training/weight_average.h"

#include "tests/engine/training/experiment_support.h"

namespace bsq::test {
namespace {

constexpr int kPicturesOfAverage = 8;
constexpr double kDecay = 0.75;

std::vector<std::pair<std::string, TestModel::MakeWeights>> forms_with_average() {
  return {{"float", {}}, {"planes", start_as_planes(6)}, {"fixed", start_as_fixed(5)}, {"lsq", start_as_lsq(4)}};
}

/// A model that is trained, and its average.
struct Averaged {
  explicit Averaged(Backend& backend_to_use, const TestModel::MakeWeights& weights)
      : backend(backend_to_use),
        test(backend, make_resnet(tiny_resnet(Activation::pact, 3)), weights),
        source(test.memory, tiny_pictures("average", kPicturesOfAverage), "training"),
        average(test.memory, test.model, kDecay),
        step(test.memory, test.model, source,
             {.augment = plain_input(tiny_input()),
              .rule = {.momentum = 0.9F, .weight_decay = 1e-3F},
              .batch_size = kPicturesOfAverage,
              .metrics_slots = 1,
              .average = &average},
             alone()) {
    std::vector<std::int32_t> order(kPicturesOfAverage);
    std::iota(order.begin(), order.end(), 0);
    source.begin_epoch(order);
  }
  void train(int steps) {
    for (int i = 0; i < steps; ++i) step.run(kPicturesOfAverage, {.learning_rate = 0.1F, .method = {0.05F}});
  }
  std::vector<float> numbers(const OnDevice<ModelState>& state) const {
    std::vector<float> all;
    for (const DeviceSpan& span : state.spans) {
      const std::vector<float> copy = download_array(backend, span.data, span.count);
      all.insert(all.end(), copy.begin(), copy.end());
    }
    return all;
  }
  std::vector<float> of_model() const { return numbers(test.model.on_device(StateScope::model)); }
  std::vector<float> of_average() const { return numbers(average.on_device()); }
  /// What layers read.
  std::vector<std::vector<float>> effective() const {
    std::vector<std::vector<float>> all;
    for (const TensorView& view : test.model.parameters().values) all.push_back(download_view(backend, view));
    return all;
  }
  ModelState state_of_average() const { return download(backend, average.on_device()); }

  Backend& backend;
  TestModel test;
  ResidentSource source;
  WeightAverage average;
  TrainingStep step;
};

Config config_with_ema(double ema, const std::vector<std::string>& stages = {"pretrain", "bsq", "finetune"}) {
  Config config = tiny_config();
  config.stage("lsq").epochs = 2;
  for (const std::string& stage : stages) config.stage(stage).ema = ema;
  return config;
}

std::map<std::string, std::string> traces_with_ema(const Config& config) {
  ExperimentRuns runs(config);
  REQUIRE(runs.run() == StageOutcome::done);
  return traces_of(runs);
}

}  // namespace

TEST_CASE("an average moves with every step towards weights, scales and running statistics, in every form") {
  for_each_device([](Backend& backend) {
    for (const auto& [form, weights] : forms_with_average()) {
      INFO(form);
      Averaged averaged(backend, weights);
      CHECK(same_bits(averaged.of_average(), averaged.of_model()));
      std::vector<double> expected = to_doubles(averaged.of_average());
      for (int i = 0; i < 3; ++i) {
        averaged.train(1);
        const std::vector<float> now = averaged.of_model();
        REQUIRE(now.size() == expected.size());
        for (std::size_t n = 0; n < now.size(); ++n) expected[n] = kDecay * expected[n] + (1 - kDecay) * now[n];
      }
      CHECK(compare_scaled(to_doubles(averaged.of_average()), expected, relative_tolerance(DType::f32)).ok());
      CHECK_FALSE(same_bits(averaged.of_average(), averaged.of_model()));
    }
  });
}

TEST_CASE("an average that takes the model's place and gives it back leaves no trace, nor in the steps behind it") {
  for_each_device([](Backend& backend) {
    for (const auto& [form, weights] : forms_with_average()) {
      INFO(form);
      Averaged exchanged(backend, weights), straight(backend, weights);
      for (Averaged* each : {&exchanged, &straight}) each->train(2);
      const std::vector<float> model = exchanged.of_model(), average = exchanged.of_average();
      const auto effective = exchanged.effective();
      exchanged.average.exchange();
      CHECK(same_bits(exchanged.of_model(), average));
      CHECK(same_bits(exchanged.of_average(), model));
      CHECK(exchanged.effective() != effective);
      exchanged.average.exchange();
      CHECK(same_bits(exchanged.of_model(), model));
      CHECK(exchanged.effective() == effective);
      for (Averaged* each : {&exchanged, &straight}) each->train(2);
      CHECK(same_bits(exchanged.of_model(), straight.of_model()));
      CHECK(same_bits(exchanged.of_average(), straight.of_average()));
    }
  });
}

TEST_CASE("an average goes to a file and comes back to the bit, whatever the signs of scales are") {
  for_each_device([](Backend& backend) {
    for (const auto& [form, weights] : forms_with_average()) {
      for (const bool is_turned : {false, true}) {
        if (is_turned && form != "planes" && form != "fixed") continue;
        INFO(form << ", " << is_turned);
        Averaged averaged(backend, weights);
        averaged.train(1);
        if (is_turned) {  // as if training had driven one scale below 0, and another one of the average
          Model& model = averaged.test.model;
          const Weights plain = model.weights();
          model.quantized().set(*plain->with_turned({0}));
          averaged.average.restart();
          model.quantized().set(*plain->with_turned({1}));
          CHECK(model.weights()->turned() == std::set<std::size_t>{1});
        }
        const ModelState average = averaged.state_of_average(), trained = averaged.test.model.state();
        const TensorFile file = average_to_file(averaged.test.model, average, trained, {});
        CHECK(file.metadata.contains("turned") == is_turned);

        Averaged again(backend, [&](const ArenaLayout&) { return trained.weights; });
        again.test.model.load_plain(averaged.test.model.save());
        const std::vector<float> of_model = again.of_model();
        again.average.restart();
        again.average.load(file, 8);
        CHECK(same_bits(again.of_model(), of_model));
        const ModelState found = again.state_of_average();
        CHECK(all_values(*found.weights) == all_values(*average.weights));
        // In a resumed run the scale of slot 1 is above 0, and its average has turned with it; slot 0 is as it was.
        CHECK(found.weights->turned() == (is_turned ? std::set<std::size_t>{0, 1} : std::set<std::size_t>{}));
        if (!is_turned) CHECK(same_bits(again.of_average(), averaged.of_average()));
      }
    }
  });
}

TEST_CASE("training moves the same weights whether or not they are averaged, and hands on the average") {
  const Config with = config_with_ema(0.9), without = tiny_config();
  ExperimentRuns averaged(with), plain(without);
  for (ExperimentRuns* runs : {&averaged, &plain})
    REQUIRE(runs->run([](int step) { return step == 5 ? Request::stop : Request::none; }) == StageOutcome::stopped);
  const CheckpointFiles a = averaged.checkpoint("last"), b = plain.checkpoint("last");
  CHECK(
      different_tensors(a.tensors.at("model.safetensors").tensors, b.tensors.at("model.safetensors").tensors).empty());
  CHECK_FALSE(b.tensors.contains("ema.safetensors"));
  const std::vector<HostTensor>& ema = a.tensors.at("ema.safetensors").tensors;
  CHECK_FALSE(different_tensors(ema, a.tensors.at("model.safetensors").tensors).empty());
  REQUIRE(averaged.run() == StageOutcome::done);
  const auto traces = traces_of(averaged);
  int lines = 0;
  std::istringstream events(traces.at("metrics.jsonl"));
  for (std::string line; std::getline(events, line);) lines += nlohmann::json::parse(line).at("event") == "weights";
  CHECK(lines == 2 + 3 + 2);
  // What the stage hands on is what its last evaluation saw: the best model, if that is of the last epoch.
  const nlohmann::json best = nlohmann::json::parse(traces.at("finetune_best/state.json"));
  if (best.at("epoch") == 2)
    CHECK(traces.at("finetune/model.safetensors") == traces.at("finetune_best/model.safetensors"));
}

TEST_CASE("a run with an average that is stopped after any step, or killed, goes on to the same bits") {
  Config config = config_with_ema(0.9, {"pretrain", "bsq", "lsq", "finetune"});
  config.stages =
      GENERATE(std::vector<std::string>{"pretrain", "bsq", "finetune"}, std::vector<std::string>{"pretrain", "lsq"});
  const auto expected = traces_with_ema(config);
  CHECK_FALSE(differences_of(expected, traces_with_ema([&] {
                               Config other = config;
                               other.stage("pretrain").ema = 0.5;
                               return other;
                             }()))
                  .empty());
  for (int stop = 1; stop <= 12; ++stop) check_stopped_and_resumed(config, stop, expected);
  for (const int kill : {2, 5, 8, 11}) check_killed_and_resumed(config, kill, expected);
}

TEST_CASE("a checkpoint that has lost the average is named") {
  ExperimentRuns runs(config_with_ema(0.9));
  REQUIRE(runs.run([](int step) { return step == 2 ? Request::stop : Request::none; }) == StageOutcome::stopped);
  const fs::path folder = fs::canonical(runs.path() / "checkpoints/last");
  CheckpointFiles files = runs.checkpoint("last");
  files.tensors.erase("ema.safetensors");
  fs::remove_all(folder);
  save_checkpoint(folder, files);
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { runs.run(); }), Catch::Contains("no ema.safetensors"));
}

}  // namespace bsq::test
