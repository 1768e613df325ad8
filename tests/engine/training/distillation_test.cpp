// Learning from a float model beside the labels: the steps of a stage, and whole runs.
#include "tests/engine/training/experiment_support.h"

#include "engine/input/sampler.h"

namespace bsq::test {
namespace {

constexpr int kPicturesOfTest = 20;
constexpr int kBatchOfTest = 8;

AugmentRule augmentation_of_test() {
  AugmentRule rule = plain_input(tiny_input());
  rule.crop_padding = 1;
  rule.random_flip = true;
  rule.seed = 3;
  return rule;
}

TrainingOptions taught(const FrozenNetwork* teacher) {
  return {.augment = augmentation_of_test(),
          .rule = {.momentum = 0.9F, .weight_decay = 1e-3F},
          .label_smoothing = 0.1F,
          .batch_size = kBatchOfTest,
          .metrics_slots = 3,
          .teacher = teacher,
          .teacher_weight = 0.75F,
          .temperature = 2};
}

/// A model that learns, its pictures, and a teacher that is there whether or not it is asked.
struct Pupil {
  explicit Pupil(Backend& backend_to_use, const TestModel::MakeWeights& weights = start_as_lsq(4),
                 DType dtype = DType::f32)
      : backend(backend_to_use),
        test(backend, make_resnet(tiny_resnet(Activation::relu6, 4)), weights, dtype),
        source(test.memory, tiny_pictures("distillation", kPicturesOfTest), "training"),
        teacher(test.memory, "teacher", make_resnet(tiny_teacher()), dtype, teacher_file(backend)) {
    std::vector<std::int32_t> order(kPicturesOfTest);
    std::iota(order.begin(), order.end(), 0);
    source.begin_epoch(order);
  }
  std::vector<float> gradients() {
    const Buffer& buffer = test.model.gradients();
    return download_array(backend, buffer.as<float>(), buffer.size_bytes() / sizeof(float));
  }

  Backend& backend;
  TestModel test;
  ResidentSource source;
  FrozenNetwork teacher;
};

/// The gradients and the loss of one step, where the teacher has memory of its own.
StepMetrics step_by_hand(Pupil& pupil, int batch, DType dtype) {
  Backend& backend = pupil.backend;
  DeviceMemory& memory = pupil.test.memory;
  Executor executor(memory, pupil.test.model.network(), pupil.test.model.parameters(), kBatchOfTest, dtype,
                    ExecutionMode::training, {batch});
  Executor teacher(memory, pupil.teacher.network(), pupil.teacher.parameters(), kBatchOfTest, dtype,
                   ExecutionMode::inference, {batch});
  Buffer labels = memory.allocate_array<std::int32_t>("labels", kBatchOfTest);
  Buffer inputs = memory.allocate_array<StepInputs>("inputs", 1);
  Buffer metrics = memory.allocate_array<StepMetrics>("metrics", 1);
  const auto* step_inputs = inputs.as<StepInputs>();
  for (Executor* each : {&teacher, &executor})
    backend.augment({augmentation_of_test(), pupil.source.rows(), step_inputs, batch, each->images(batch),
                     labels.as<std::int32_t>()});
  executor.forward(batch);
  teacher.forward(batch);
  backend.softmax_cross_entropy({batch,
                                 3,
                                 executor.logits(batch).as<float>(),
                                 labels.as<std::int32_t>(),
                                 executor.d_logits(batch).as<float>(),
                                 step_inputs,
                                 metrics.as<StepMetrics>(),
                                 0.1F,
                                 {teacher.logits(batch).as<float>(), 0.75F, 2}});
  executor.backward(batch);
  return download_array(backend, metrics.as<StepMetrics>(), 1)[0];
}

Config taught_config(std::vector<std::string> stages = {}) {
  Config config = tiny_config();
  config.distill = {.model = "teacher", .weight = 0.5, .temperature = 3, .stages = std::move(stages)};
  return config;
}

std::map<std::string, std::string> traces_of_run(const Config& config) {
  ExperimentRuns runs(config);
  REQUIRE(runs.run() == StageOutcome::done);
  return traces_of(runs);
}

}  // namespace

TEST_CASE("a teacher that lives in the memory of the model that learns says what it says elsewhere, to the bit") {
  for_each_device([](Backend& backend) {
    for (const auto& [form, weights] : std::vector<std::pair<std::string, TestModel::MakeWeights>>{
             {"float", {}}, {"planes", start_as_planes(6)}, {"lsq", start_as_lsq(4)}}) {
      for (const int batch : {kBatchOfTest, 4}) {
        INFO(form << ", batch of " << batch);
        Pupil by_hand(backend, weights);
        const StepMetrics expected = step_by_hand(by_hand, batch, DType::f32);
        Pupil pupil(backend, weights);
        TrainingStep step(pupil.test.memory, pupil.test.model, pupil.source, taught(&pupil.teacher), alone());
        step.run(batch, {.learning_rate = 0});
        CHECK(same_bits(pupil.gradients(), by_hand.gradients()));
        CHECK(step.metrics(0, 1)[0].loss_sum == expected.loss_sum);
        CHECK(step.metrics(0, 1)[0].top1 == expected.top1);
      }
    }
  });
}

TEST_CASE("activations of a teacher take the place of those that are computed after them") {
  const auto backend = make_backend("cpu", {.threads = 1});
  Pupil pupil(*backend);
  TrainingStep alone_step(pupil.test.memory, pupil.test.model, pupil.source, taught(nullptr), alone());
  TrainingStep step(pupil.test.memory, pupil.test.model, pupil.source, taught(&pupil.teacher), alone());
  REQUIRE(step.teacher() != nullptr);
  CHECK(alone_step.teacher() == nullptr);
  const std::size_t without = alone_step.executor().plan().arena_bytes, with = step.executor().plan().arena_bytes;
  const std::size_t logits = step.teacher()->logits(kBatchOfTest).size_bytes();
  CHECK(with <= without + logits + 64);
  Executor by_itself(pupil.test.memory, pupil.teacher.network(), pupil.teacher.parameters(), kBatchOfTest, DType::f32,
                     ExecutionMode::inference, {});
  CHECK(by_itself.plan().arena_bytes > logits + 64);
}

TEST_CASE("stages that train quantized weights learn from a teacher, or those that are listed") {
  const Config config = taught_config();
  CHECK_FALSE(config.distills("pretrain"));
  CHECK_FALSE(config.distills("convert"));
  for (const char* stage : {"bsq", "csq", "lsq", "finetune"}) CHECK(config.distills(stage));
  const Config listed = taught_config({"pretrain", "lsq"});
  CHECK(listed.distills("pretrain"));
  CHECK(listed.distills("lsq"));
  CHECK_FALSE(listed.distills("bsq"));
  Config silent = taught_config();
  silent.distill.weight = 0;
  CHECK_FALSE(silent.distills("bsq"));
  CHECK_FALSE(tiny_config().distills("bsq"));
}

TEST_CASE("a run that learns from a teacher is another run from the first stage on that does, and says so") {
  const auto plain = traces_of_run(tiny_config());
  const auto taught = traces_of_run(taught_config());
  CHECK(plain.at("pretrain/model.safetensors") == taught.at("pretrain/model.safetensors"));
  CHECK(plain.at("bsq/model.safetensors") != taught.at("bsq/model.safetensors"));
  CHECK(plain.at("metrics.jsonl").find("teacher") == std::string::npos);
  std::istringstream lines(taught.at("metrics.jsonl"));
  std::map<std::string, nlohmann::json> starts;
  for (std::string line; std::getline(lines, line);)
    if (const auto event = nlohmann::json::parse(line); event.at("event") == "stage_start")
      starts[event.at("stage")] = event;
  CHECK_FALSE(starts.at("pretrain").contains("teacher"));
  CHECK(starts.at("bsq").at("teacher") == "teacher");
  CHECK(starts.at("bsq").at("teacher_weight") == 0.5);
  CHECK(starts.at("finetune").at("temperature") == 3);
  CHECK(taught_config({"pretrain"}).distills("pretrain"));
  CHECK(traces_of_run(taught_config({"pretrain"})).at("pretrain/model.safetensors") !=
        plain.at("pretrain/model.safetensors"));
}

TEST_CASE("a run with a teacher that is stopped or killed goes on to the same bits, and remembers whose pupil it is") {
  const Config config = taught_config({"pretrain", "bsq", "finetune"});
  const auto expected = traces_of_run(config);
  for (const int stop : {2, 8, 14, 20}) check_stopped_and_resumed(config, stop, expected);
  for (const int kill : {5, 17}) check_killed_and_resumed(config, kill, expected);
  ExperimentRuns runs(config);
  REQUIRE(runs.run([](int step) { return step == 2 ? Request::stop : Request::none; }) == StageOutcome::stopped);
  CHECK(teacher_from_json(runs.checkpoint("last").state, "last") == "0123");
  CHECK_THROWS_WITH(check_same_teacher("0123", "4567", "t.safetensors"),
                    Catch::Contains("distill.model = t.safetensors: not the model that the run has learned from (hash "
                                    "4567, and was 0123)"));
  CHECK_THROWS_WITH(check_same_teacher("0123", "", ""), Catch::Contains("say where it is"));
  CHECK_THROWS_WITH(check_same_teacher("", "4567", "t"), Catch::Contains("has begun without a teacher"));
  CHECK_NOTHROW(check_same_teacher("", "", ""));
}

TEST_CASE("a teacher of bf16 rounds its filters as any network does") {
  const auto backend = make_backend("cpu", {.threads = 1});
  std::string why;
  if (!backend->supports(Precision::bf16, why)) return;
  Pupil by_hand(*backend, start_as_lsq(4), DType::bf16);
  const StepMetrics expected = step_by_hand(by_hand, kBatchOfTest, DType::bf16);
  Pupil pupil(*backend, start_as_lsq(4), DType::bf16);
  TrainingStep step(pupil.test.memory, pupil.test.model, pupil.source, taught(&pupil.teacher), alone());
  step.run(kBatchOfTest, {.learning_rate = 0});
  CHECK(step.metrics(0, 1)[0].loss_sum == expected.loss_sum);
  CHECK(same_bits(pupil.gradients(), by_hand.gradients()));
}

}  // namespace bsq::test
